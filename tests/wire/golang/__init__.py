"""An interpreter of the Go that the cases of the client API are written in: expressions, calls, closures, loops."""
