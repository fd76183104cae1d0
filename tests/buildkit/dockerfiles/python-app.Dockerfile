FROM base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY src/ ./
RUN useradd --system --no-log-init --uid 1500 app && chown -R app /app
USER app
EXPOSE 8000/tcp 9000-9002/udp
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=2 CMD python3 -c "import app"
CMD ["python3", "app.py"]
