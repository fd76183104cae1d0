"""BuildKit's client API (client/llb) with Go's names, over `pybuild.llb.construct`: what the cases' snippets call.

`states`: states and constraints. `operations`: what a state is made of. `options`, `sources`, `execs`, `files`,
`combine`: the functions. `library`: the packages that a snippet sees.
"""
