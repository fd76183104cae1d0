FROM base
RUN mkdir -m 700 /private && ln -s /private /alias
COPY --link src /linked/src
COPY --link --chown=9:10 conf/a.conf /linked/
COPY conf /alias/
