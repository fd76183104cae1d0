FROM base
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN echo a{b,c} > /braces
RUN ["/bin/sh", "-c", "echo exec > /exec"]
ENTRYPOINT exec cat
CMD one two
SHELL ["/bin/sh", "-c"]
STOPSIGNAL SIGQUIT
