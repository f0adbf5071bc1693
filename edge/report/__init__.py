"""One self-contained page, and Markdown, CSV and JSON, of what `edge.check` and `edge.bench` measured."""
