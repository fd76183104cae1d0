FROM base
RUN mkdir -m 1777 /sticky && mkdir -m 2755 /setgid && touch /suid && chmod 4711 /suid
RUN ln /suid /hard && ln -s suid /soft && mkfifo /pipe
RUN touch -d @1500000000 /old && chown 1:2 /old && chmod 000 /old
RUN chmod 700 /setgid
RUN chown 77 /hard
