"""Every protocol has a codec in the model host."""

from mlflow.models import Model

from cloche.serving.host.codecs.catalog import codecs
from cloche.serving.protocols.catalog import PROTOCOLS


def test_each_protocol_has_the_codec_of_its_name():
    assert codecs(Model(), None, name="m", version="1").keys() == {one.name for one in PROTOCOLS}
