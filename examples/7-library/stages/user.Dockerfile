# A fragment: a file without FROM. Its instructions stand where INCLUDE does.
RUN useradd --create-home app
WORKDIR /home/app
USER app
