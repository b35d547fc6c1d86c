# The gateway as Cloud Run runs it: the locked packages and the gateway's own code, compiled, owned by root, run by nobody.
# The base image is pinned: this was the tag's digest on 2026-09-30. For today's: docker buildx imagetools inspect python:3.13-slim-trixie
ARG PYTHON=python:3.13.15-slim-trixie
ARG PYTHON_DIGEST=sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON}@${PYTHON_DIGEST} AS build
WORKDIR /app
COPY requirements.txt ./
# A folder on PYTHONPATH in place of a virtual environment: nothing in it knows where it lies.
RUN python -m pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps --require-hashes \
      --target packages --requirement requirements.txt \
    && rm -r requirements.txt packages/bin
# Of botocore only the signing is used, not its 30 MB of service models; C sources are of no use once compiled.
RUN rm -r packages/botocore/data \
    && find packages -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete
COPY LICENSE ./
COPY gateway ./gateway
# Checked by nobody at start: the files do not change, and their dates are the builder's.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash packages gateway

FROM ${PYTHON}@${PYTHON_DIGEST}
ENV PYTHONPATH=/app/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PORT=8080
WORKDIR /app
COPY --from=build /app /app
USER 65532:65532
EXPOSE 8080
# The server itself is the first process: SIGTERM reaches it, and open streams get their drain time. It listens on $PORT.
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["serve", "--host", "0.0.0.0"]
