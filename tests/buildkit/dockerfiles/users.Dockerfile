FROM base
RUN groupadd -g 4000 team && useradd -m -u 4001 -g team -s /bin/bash dev
USER dev
WORKDIR /home/dev/project
RUN id > who && echo "$HOME" >> who && touch file
COPY --chown=dev:team notes.md .
USER dev:games
RUN id -gn >> who
USER 0
RUN chmod 755 /home/dev
USER 4001:4000
