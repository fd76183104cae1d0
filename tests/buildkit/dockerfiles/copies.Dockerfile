FROM base
COPY conf /conf-new
COPY conf/ /conf-slash/
COPY conf/*.conf /globbed/
COPY conf/a.conf conf/b.conf /two/
COPY --chown=33:44 conf/a.conf /owned/deep/a.conf
COPY --chmod=0711 entry.sh /usr/local/bin/entry
COPY src/app.py /usr/local/lib
COPY src/app.py /usr/local/lib/renamed.py
COPY conf/link.conf /followed
WORKDIR /rel
COPY src/sub ./sub
COPY ["notes.md", "name with blanks.md"]
