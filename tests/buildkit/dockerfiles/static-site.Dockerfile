FROM base AS assets
WORKDIR /site
COPY notes.md index.md
RUN sed 's/^/<p>/' index.md > index.html && gzip -9nk index.html
FROM base
COPY --from=assets /site/*.html* /var/www/html/
RUN ln -sf /dev/stdout /var/log/access.log
VOLUME /var/www/html
