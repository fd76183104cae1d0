"""The Dockerfile frontend: from the bytes of a Dockerfile to a graph.

The language half, in the order in which a Dockerfile passes through it:

    directives   `# syntax=`, `# escape=`, `# check=`
    nodes        lines, continuations, comments, heredocs -> one node per instruction
    arguments    the words of one instruction, by the rules of its keyword
    typed        nodes -> the values of `instructions`
    dockerfile   `parse`: all of the above; stages, and the rules that look at the whole file
    shellwords   quotes and `${...}` of one word
    expand       an instruction with its words expanded

`lint` collects what the rules of `rules` find, here and in lowering.
"""
