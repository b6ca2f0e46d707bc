/** How far an arrow key moves, if it is one. */
export function arrow(key: string, step: number): readonly [dx: number, dy: number] | undefined {
  switch (key) {
    case "ArrowLeft":
      return [-step, 0];
    case "ArrowRight":
      return [step, 0];
    case "ArrowUp":
      return [0, -step];
    case "ArrowDown":
      return [0, step];
    default:
      return undefined;
  }
}
