# a comment
FROM base
# another
RUN echo a \
# inside
  b \

  c > /abc
   # indented
RUN echo '# kept' > /hash
