"""Generate speech: sentences from word lists, spoken by eSpeak NG, Flite and Festival."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from .arrays import Floats
from .sources import REPORT, SELECT, TRAIN


@dataclass(frozen=True)
class Voice:
    """A synthesizer's voice and the language of the sentences that it reads."""

    engine: str  # espeak-ng, flite or festival
    name: str
    language: str
    female: bool
    split: str


def _espeak(split: str, language: str, names: str) -> list[Voice]:
    return [Voice("espeak-ng", name, language, "+f" in name, split) for name in names.split()]


VOICES: list[Voice] = [
    Voice("flite", "kal16", "en", False, TRAIN),
    Voice("flite", "awb", "en", False, TRAIN),
    Voice("flite", "kal", "en", False, TRAIN),
    Voice("festival", "ked_diphone", "en", False, TRAIN),
    Voice("festival", "lp_diphone", "it", True, TRAIN),
    Voice("festival", "hy_fi_mv_diphone", "fi", False, TRAIN),
    Voice("festival", "suo_fi_lj_diphone", "fi", True, TRAIN),
    Voice("festival", "czech_machac", "en", False, TRAIN),
    Voice("festival", "czech_dita", "en", True, TRAIN),
    Voice("festival", "upc_ca_ona_hts", "es", True, TRAIN),
    Voice("festival", "pc_diphone", "it", False, SELECT),
    Voice("flite", "slt", "en", True, REPORT),
    Voice("flite", "rms", "en", False, REPORT),
    *_espeak(
        TRAIN,
        "en",
        "en-us en-gb en-us+m1 en-us+m3 en-us+f1 en-us+f2 en-gb+f3 en-gb+f4 en-gb-x-rp+m7 en-us+croak",
    ),
    *_espeak(TRAIN, "de", "de de+f2 de+m2"),
    *_espeak(TRAIN, "fr", "fr-fr fr-fr+f4 fr-fr+m5"),
    *_espeak(TRAIN, "es", "es es-419+f1 pt-br+f3"),
    *_espeak(TRAIN, "it", "it+m4 it+f2"),
    *_espeak(SELECT, "en", "en-gb-scotland+m6 en-us+f5"),
    *_espeak(SELECT, "nl", "nl+f3"),
    *_espeak(REPORT, "en", "en-029+m8 en-gb-x-gbcwmd+f1"),
    *_espeak(REPORT, "nl", "nl+m2"),
]

# Sentences are drawn from these words: who, does what, with what, where or when.
WORDS: dict[str, tuple[str, str, str, str]] = {
    "en": (
        "the old doctor|my sister|nobody|the driver of the bus|our neighbour|she|a young engineer|everyone|the cook",
        "has been looking for|forgot to bring|is asking about|wants to sell|will repair|never understood|painted",
        "the green window|twelve eggs|a better question|the missing letter|his broken bicycle|some fresh bread|the map",
        "before the rain started|in the yellow house|on Thursday|without a word|because it was late|at the station",
    ),
    "de": (
        "die Ärztin|mein Bruder|niemand|der Fahrer|unsere Nachbarin|das Kind",
        "sucht schon lange|vergisst immer|verkauft heute|versteht|trägt|bezahlt",
        "den grünen Koffer|zwölf Eier|eine bessere Frage|das alte Fahrrad|frisches Brot",
        "vor dem Regen|im gelben Haus|am Donnerstag|ohne ein Wort|am Bahnhof",
    ),
    "fr": (
        "le médecin|ma soeur|personne|la voisine|un jeune homme|tout le monde",
        "cherche encore|oublie toujours|voudrait vendre|demande|répare|apporte",
        "la fenêtre verte|douze oeufs|une autre question|le vieux vélo|du pain frais",
        "avant la pluie|dans la maison jaune|jeudi matin|sans un mot|à la gare",
    ),
    "es": (
        "el médico|mi hermana|nadie|la vecina|un chico joven|todo el mundo",
        "busca todavía|olvida siempre|quiere vender|pregunta por|repara|trae",
        "la ventana verde|doce huevos|una pregunta mejor|la bicicleta rota|pan fresco",
        "antes de la lluvia|en la casa amarilla|el jueves|sin decir nada|en la estación",
    ),
    "it": (
        "il medico|mia sorella|nessuno|la vicina|un ragazzo|tutti",
        "cerca ancora|dimentica sempre|vuole vendere|chiede|ripara|porta",
        "la finestra verde|dodici uova|una domanda migliore|la bicicletta rotta|pane fresco",
        "prima della pioggia|nella casa gialla|di mattina|senza parlare|alla stazione",
    ),
    "fi": (
        "naapuri|minun sisko|kukaan|nuori mies|kaikki|vanha kuski",
        "etsii nyt|unohti taas|haluaa myydä|korjaa|kantoi|kysyi",
        "uuden ikkunan|pari munaa|paremman kartan|rikki menneen polkupyörän|leipää",
        "ennen sadetta|talossa|torstaina|sanomatta mitään|asemalla",
    ),
    "nl": (
        "de dokter|mijn zus|niemand|de buurman|een jonge vrouw|iedereen",
        "zoekt nog steeds|vergeet altijd|wil verkopen|vraagt naar|repareert|brengt",
        "het groene raam|twaalf eieren|een betere vraag|de oude fiets|vers brood",
        "voor de regen|in het gele huis|op donderdag|zonder een woord|op het station",
    ),
}  # fmt: skip


def sentences(language: str, count: int, rng: np.random.Generator) -> str:
    """Return a text of `count` sentences, some with numbers, some as questions."""
    slots = [words.split("|") for words in WORDS[language]]
    text = []
    for _ in range(count):
        words = [slot[rng.integers(len(slot))] for slot in slots]
        if rng.random() < 0.3:
            words.insert(2, str(rng.integers(2, 9000)))
        if rng.random() < 0.2:
            words = words[: rng.integers(1, 3)]
        text.append(" ".join(words).capitalize() + ".?!."[rng.integers(4)])
    return " ".join(text)


def speak(voice: Voice, text: str, rng: np.random.Generator) -> tuple[Floats, int]:
    """Speak `text` at a random speed (and pitch, with eSpeak NG); return a mono waveform in ±1 and its rate in Hz."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        if voice.engine == "espeak-ng":
            speed, pitch = str(rng.integers(85, 230)), str(rng.integers(10, 90))
            command = ["espeak-ng", "-v", voice.name, "-s", speed, "-p", pitch, "-w", str(wav), text]
            subprocess.run(command, check=True, capture_output=True)
        elif voice.engine == "flite":
            stretch = f"duration_stretch={rng.uniform(0.8, 1.7):.2f}"
            command = ["flite", "-voice", voice.name, "--setf", stretch, "-t", text, "-o", str(wav)]
            subprocess.run(command, check=True, capture_output=True)
        else:
            command = ["text2wave", "-eval", f"(voice_{voice.name})", "-o", str(wav)]
            # Festival's older voices read Latin-1.
            spoken = text.encode("latin-1", errors="ignore")
            subprocess.run(command, input=spoken, check=True, capture_output=True)
        waveform, rate = soundfile.read(wav, dtype="float32")
    loud = np.flatnonzero(np.abs(waveform) > 0.01)
    if len(loud) == 0:
        raise ValueError(f"{voice.engine} {voice.name} was silent")
    return waveform[loud[0] : loud[-1] + 1], rate
