FROM base
LABEL name="Grüße" html="<b>&amp;</b>"
ENV TEXT="日本"
RUN printf '%s' "$TEXT" > "/größe-$TEXT"
CMD ["echo", "<ü&>"]
