# docker build -t audio-visual-fusion .                                          CPU
# docker build -t audio-visual-fusion:gpu --build-arg EXTRAS=pretrained,gpu .    GPU: docker run --gpus all ...
# docker run --rm -v $PWD/runs:/work/runs audio-visual-fusion -m ave.train
FROM python:3.11-slim
ARG EXTRAS=pretrained
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ".[$EXTRAS]"
WORKDIR /work
ENTRYPOINT ["python"]
CMD ["-m", "ave.train"]
