# Builds everything from the hash-locked lists; the image itself holds no compiler, no pip cache and no secret.
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY lock/build.txt lock/engine.txt lock/
RUN python -m venv tools \
    && tools/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r lock/build.txt
# Without the build machine's own instructions the image runs on any x86-64 with AVX2, or any 64-bit Arm.
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF" PATH="/build/tools/bin:${PATH}"
RUN pip wheel --no-cache-dir --no-deps --require-hashes --no-build-isolation \
    --only-binary=:all: --no-binary=llama-cpp-python -r lock/engine.txt -w wheels
COPY pyproject.toml README.md ./
COPY policies policies
COPY engine engine
COPY gateway gateway
RUN pip wheel --no-deps --no-index --no-build-isolation . -w wheels

FROM ${PYTHON}
# What llama.cpp and the workers' wall load at run time.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 libseccomp2 && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=build,source=/build/wheels,target=/wheels \
    python -m venv /opt/corral && /opt/corral/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY container /opt/corral/container
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin corral \
    && install -d -o corral -g corral -m 0700 /var/lib/corral
# The home is a directory in the volume, not the volume itself, so that it can be made whole or not at all.
ENV CORRAL_HOME=/var/lib/corral/home PATH="/opt/corral/bin:${PATH}" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
VOLUME /var/lib/corral
EXPOSE 8443
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "/opt/corral/container/health.py"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/corral/container/start"]
