"""What makes pictures of complete scenes: :class:`base.Renderer` and its kinds."""
