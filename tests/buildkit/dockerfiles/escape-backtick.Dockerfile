# escape=`
FROM base
RUN echo one `
    && echo two > /two
ENV P=C:\dir
RUN echo "$P" > /p
