# The image that every step on Kubeflow Pipelines runs: the pipeline's packages and the project's, nothing to test with.
FROM python:3.10-slim-bookworm

# Not empty: TensorFlow with CUDA, 5 GB more, for groups of workers with `gpu`. The node has the driver.
ARG GPU=

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_NO_CACHE=1 \
    PYTHONUNBUFFERED=1

# The packages first: their layer is 2 GB and changes only with the lock. Bytecode is compiled here, once, because each
# step would otherwise spend 20 s on it.
COPY requirements/uv.txt requirements/runtime.txt requirements/runtime-gpu.txt /tmp/requirements/
RUN pip install --require-hashes --only-binary=:all: --requirement /tmp/requirements/uv.txt \
    && uv pip install --system --no-deps --require-hashes --compile-bytecode \
        --requirement /tmp/requirements/runtime${GPU:+-gpu}.txt

COPY . /tmp/project
RUN pip install --no-deps --no-build-isolation /tmp/project \
    && rm -rf /tmp/project /tmp/requirements

# The steps need no privilege: they write to the pipeline root, to temporary folders and, as Kubeflow wants it, to this
# one file at the top, which a user who is not root can only overwrite.
RUN useradd --create-home --uid 1000 pipeline \
    && touch /mlpipeline-ui-metadata.json \
    && chown pipeline /mlpipeline-ui-metadata.json
USER 1000
WORKDIR /home/pipeline
