/** Which names complete what was typed, the best first. */

const SHOWN = 60;

export function ranked(
  typed: string,
  options: readonly string[],
  suggested: readonly string[] = [],
): readonly string[] {
  const text = typed.trim().toLowerCase();
  if (!text) return [...new Set([...suggested, ...options])].slice(0, SHOWN);
  const rank = (name: string): number => {
    const lower = name.toLowerCase();
    if (lower === text) return 0;
    if (lower.startsWith(text)) return 1;
    if (lower.split(/[\s-]/).some((word) => word.startsWith(text))) return 2;
    return lower.includes(text) ? 3 : 4;
  };
  return options
    .map((name) => ({ name, rank: rank(name) }))
    .filter((one) => one.rank < 4)
    .sort((one, other) => one.rank - other.rank || one.name.length - other.name.length)
    .map((one) => one.name)
    .slice(0, SHOWN);
}
