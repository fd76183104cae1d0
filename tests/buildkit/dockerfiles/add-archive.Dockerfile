FROM base
ADD bundle.tgz /unpacked/
ADD bundle.tgz notes.md /both/
ADD --chown=12:13 notes.md /owned/
COPY bundle.tgz /kept/
