"""From typed instructions to the graph: what BuildKit's frontend/dockerfile/dockerfile2llb and frontend/dockerui do."""
