"""The Dockerfile frontend: from the bytes of a Dockerfile to a graph.

The language half, in the order in which a Dockerfile passes through it:

    directives   `# syntax=`, `# escape=`, `# check=`
    dialect      which instructions there are: BuildKit's, or ours as well
    nodes        lines, continuations, comments, heredocs -> one node per instruction
    arguments    the words of one instruction, by the rules of its keyword
    includes     the nodes of the files that INCLUDE names
    typed        nodes -> the values of `instructions`; `extensions` those that pybuild adds
    imports      what stands in place of IMPORT
    dockerfile   `parse`: all of the above; stages, and the rules that look at the whole file
    shellwords   quotes and `${...}` of one word
    expand       an instruction with its words expanded

`lint` collects what the rules of `rules` find, here and in lowering.
"""
