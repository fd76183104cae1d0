"""Drawing and comparing graphs: DOT, Mermaid, text, HTML, and graph diffs."""
