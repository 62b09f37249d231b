"""Find a checkpoint's classes by the words that people use for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache

from block.ontology import Ontology, normalize_name

WORD = re.compile(r"\w+")

# Words, separated by commas: the classes, separated by semicolons, that they find besides those named after them.
SYNONYMS = """
baby, infant, newborn, toddler: Baby cry, infant cry; Baby laughter; Babbling; Crying, sobbing; Whimper
kid, kids, child, children: Child speech, kid speaking; Children shouting; Children playing; Child singing
talk, talking, voice, voices, conversation, speaking: Speech; Conversation; Narration, monologue; Whispering
man, male: Male speech, man speaking; Male singing
woman, female, lady: Female speech, woman speaking; Female singing
podcast, lecture, audiobook, commentary: Narration, monologue; Speech; Conversation
robot voice, text to speech, tts: Speech synthesizer
laugh, laughing, haha: Laughter; Baby laughter; Giggle; Snicker; Belly laugh; Chuckle, chortle
cry, crying, weeping, tears: Crying, sobbing; Baby cry, infant cry; Whimper; Wail, moan
scream, screaming, yelling, shouting: Screaming; Shout; Yell; Children shouting; Battle cry; Whoop; Bellow
sneeze, sneezing, achoo: Sneeze
snore, sleeping, sleep: Snoring
cough, coughing: Cough; Throat clearing
sick, illness: Cough; Sneeze; Throat clearing; Wheeze; Sniff
belch, burp: Burping, eructation
eating: Chewing, mastication; Biting; Crunch; Cutlery, silverware
drinking: Gargling; Gurgling; Pour
pulse, heartbeats: Heart sounds, heartbeat; Heart murmur
crowd, people, audience: Crowd; Hubbub, speech noise, speech babble; Cheering; Applause; Chatter
party: Crowd; Cheering; Chatter; Dance music; Hubbub, speech noise, speech babble
clap, clapping: Clapping; Applause
footsteps, footstep, steps, walking: Walk, footsteps; Run; Shuffle
running, jogging: Run
dog, dogs: Dog; Bark; Bow-wow; Yip; Howl; Growling; Whimper (dog)
puppy, hound: Dog; Bark; Yip; Whimper (dog)
cat, cats: Cat; Meow; Purr; Hiss; Caterwaul
kitten, kitty: Cat; Meow; Purr
pet: Domestic animals, pets; Dog; Cat
bird, birds, birdsong: Bird; Bird vocalization, bird call, bird song; Chirp, tweet; Squawk; Caw; Coo; Hoot
parrot: Squawk; Bird vocalization, bird call, bird song
seagull, gull: Squawk; Bird vocalization, bird call, bird song
raven: Crow; Caw
rooster, hen: Chicken, rooster; Crowing, cock-a-doodle-doo; Cluck
cow, cows, bull: Cattle, bovinae; Moo; Cowbell
pony, donkey, hooves, hoof: Horse; Neigh, whinny; Clip-clop
hog, swine: Pig; Oink
lamb: Sheep; Bleat
lion, tiger: Roaring cats (lions, tigers); Roar
wolf, coyote: Canidae, dogs, wolves; Howl
rat, squirrel: Rodents, rats, mice; Mouse
toad: Frog; Croak
bee, bees, wasp, hornet: Bee, wasp, etc.; Buzz; Insect
bug, bugs, cicada, grasshopper: Insect; Cricket; Mosquito; Fly, housefly; Buzz
dolphin: Whale vocalization
farm: Livestock, farm animals, working animals; Cattle, bovinae; Pig; Sheep; Chicken, rooster; Goat
gun, shot, shooting, rifle, pistol, firearm: Gunshot, gunfire; Machine gun; Fusillade; Artillery fire; Cap gun
cannon: Artillery fire; Boom
bomb, blast, detonation: Explosion; Boom; Eruption; Burst, pop
cop, cops, police: Police car (siren); Siren
ambulance: Ambulance (siren); Emergency vehicle
firefighter, fire truck: Fire engine, fire truck (siren); Emergency vehicle
alarm, alert, warning: Alarm; Siren; Fire alarm; Smoke detector, smoke alarm; Car alarm; Alarm clock; Buzzer
beeping: Beep, bleep; Reversing beeps; Busy signal; Alarm
car, auto, automobile: Car; Motor vehicle (road); Car passing by; Vehicle horn, car horn, honking; Race car, auto racing
horn: Vehicle horn, car horn, honking; Air horn, truck horn; Train horn; Foghorn; Toot
car horn, honking, beep beep: Vehicle horn, car horn, honking; Toot
brakes, braking: Air brake; Tire squeal; Skidding
car crash, accident, collision: Smash, crash; Tire squeal; Skidding; Shatter
traffic, road, street: Traffic noise, roadway noise; Motor vehicle (road); Car passing by
lorry: Truck; Air horn, truck horn
motorbike, scooter, moped: Motorcycle
bike: Bicycle; Bicycle bell; Motorcycle
plane, airplane, jet, airliner: Fixed-wing aircraft, airplane; Aircraft; Aircraft engine; Jet engine
drone, quadcopter, uav: Propeller, airscrew; Aircraft; Helicopter
chopper: Helicopter
railway, railroad, locomotive, tram: Rail transport; Train; Railroad car, train wagon; Train horn; Train whistle
boat: Boat, Water vehicle; Motorboat, speedboat; Ship; Rowboat, canoe, kayak; Sailboat, sailing ship
motor: Engine; Motor vehicle (road); Mechanisms
phone, cellphone, smartphone, mobile: Telephone; Telephone bell ringing; Ringtone; Telephone dialing, DTMF; Dial tone
doorbell, chime: Doorbell; Ding-dong; Chime
door, doors: Door; Knock; Slam; Sliding door; Squeak; Creak; Cupboard open or close
knocking: Knock; Tap
glass, window: Glass; Shatter; Chink, clink
glass breaking, broken glass, breaking glass, window break: Shatter; Glass; Breaking; Smash, crash
fan: Mechanical fan; Air conditioning; Whir
ac, hvac, aircon, ventilation: Air conditioning; Mechanical fan; Hum
vacuum, hoover: Vacuum cleaner
kitchen, cooking: Dishes, pots, and pans; Cutlery, silverware; Chopping (food); Frying (food); Microwave oven; Blender
fridge, refrigerator, appliance: Mechanical fan; Hum; Mains hum; Blender; Microwave oven
washing machine, dishwasher, laundry: Mechanisms; Water; Whir; Vibration
bathroom, shower: Toilet flush; Bathtub (filling or washing); Water tap, faucet; Sink (filling or washing); Hair dryer
tap, faucet, plumbing, leak: Water tap, faucet; Drip; Sink (filling or washing); Trickle, dribble
shaver, razor: Electric shaver, electric razor
keyboard: Computer keyboard; Typing; Keyboard (musical)
mouse click: Clicking; Mouse
tv: Television
tool, tools: Tools; Power tool; Drill; Hammer; Sawing; Jackhammer; Sanding; Filing (rasp); Chainsaw
saw: Sawing; Chainsaw
drilling: Drill; Dental drill, dentist's drill; Power tool; Jackhammer
construction, building site: Jackhammer; Hammer; Drill; Power tool; Sawing; Reversing beeps
mower, lawnmower: Lawn mower; Light engine (high frequency)
machine, machinery, factory, industrial: Mechanisms; Gears; Engine; Pulleys; Ratchet, pawl; Vibration; Rattle
leaf blower, hedge trimmer: Lawn mower; Light engine (high frequency); Power tool
rain, raining, drizzle, downpour: Rain; Raindrop; Rain on surface; Patter
storm, lightning, weather: Thunderstorm; Thunder; Wind; Rain
breeze, windy: Wind; Wind noise (microphone); Rustling leaves
sea, beach: Ocean; Waves, surf
river, creek, brook: Stream; Waterfall; Trickle, dribble
forest, woods, nature: Outside, rural or natural; Rustling leaves; Bird; Wind
city, urban: Outside, urban or manmade; Traffic noise, roadway noise
campfire, fireplace, flames: Fire; Crackle
quiet, nothing: Silence
hiss, interference: Static; White noise; Hiss; Pink noise; Noise
background: Background music; Environmental noise; Noise
song: Song; Singing; Music; Vocal music
sing, singer, vocals: Singing; Choir; Male singing; Female singing; Child singing; Vocal music
rap, hiphop: Rapping; Hip hop music
edm, club, rave: Electronic dance music; Electronic music; House music; Techno; Trance music; Dubstep; Dance music
dnb: Drum and bass
rnb: Rhythm and blues; Soul music
metal: Heavy metal; Rock music
rock: Rock music; Rock and roll; Punk rock; Progressive rock; Psychedelic rock; Grunge; Heavy metal
latin: Music of Latin America; Salsa music; Flamenco
african: Music of Africa; Afrobeat
indian: Carnatic music; Music of Bollywood; Sitar; Tabla
indie: Independent music
symphony, orchestral: Orchestra; Classical music; String section
drums, drummer: Drum; Drum kit; Snare drum; Bass drum; Hi-hat; Cymbal; Drum roll; Percussion
fiddle: Violin, fiddle
sax: Saxophone
bagpipe: Bagpipes
beat: Beatboxing; Drum machine; Percussion
"""


@cache
def load_synonyms() -> dict[str, tuple[str, ...]]:
    """Return AudioSet's classes by the words people use for them, in lower case."""
    synonyms: dict[str, tuple[str, ...]] = {}
    for line in SYNONYMS.strip().splitlines():
        words, classes = line.split(": ", 1)
        names = tuple(classes.split("; "))
        for word in words.split(", "):
            synonyms[word] = synonyms.get(word, ()) + names
    return synonyms


def search_classes(text: str, class_names: Sequence[str], ontology: Ontology) -> list[str]:
    """Return a line for each class that `text` finds, with the names above it: `Animal > Dog > Bark`.

    Each word of `text` must begin a word of the name or be a synonym, without regard to case; if the whole text is a
    synonym, its classes are found too. A class below several others gets a line under each; classes that are not in
    the hierarchy come last. A name that only groups classes is found like a class and ends in `*`.
    """
    terms = WORD.findall(text.lower())
    if not terms:
        return []
    by_phrase = load_synonyms().get(" ".join(terms), ())
    by_key = {normalize_name(name): name for name in class_names}
    lines: list[str] = []
    path: list[str] = []
    for line in ontology.walk():
        node = line.node
        path[line.depth :] = [node.name]
        if node.name not in by_phrase and not all(_is_match(term, node.name) for term in terms):
            continue
        own = by_key.get(normalize_name(node.name))
        if own is None and any(normalize_name(one.name) in by_key for one in ontology.find_descendants(node)):
            own = f"{node.name}*"
        if own is not None:
            lines.append(" > ".join([*path[:-1], own]))
    strangers = (name for name in class_names if ontology.find(name) is None)
    return [*lines, *(name for name in strangers if all(_is_match(term, name) for term in terms))]


def suggest_classes(text: str, class_names: Sequence[str], count: int = 5) -> list[str]:
    """Return up to `count` classes whose names, words or synonyms are spelled like `text`."""
    finds: dict[str, list[str]] = {}
    for name in class_names:
        for key in {normalize_name(name), *WORD.findall(name.lower())}:
            finds.setdefault(key, []).append(name)
    for word, names in load_synonyms().items():
        finds.setdefault(word, []).extend(name for name in names if name in class_names)
    near: dict[str, None] = {}
    for term in dict.fromkeys([normalize_name(text), *WORD.findall(text.lower())]):
        for key in difflib.get_close_matches(term, finds, n=count, cutoff=0.7):
            near |= dict.fromkeys(finds[key])
    return list(near)[:count]


def _is_match(term: str, name: str) -> bool:
    return any(word.startswith(term) for word in WORD.findall(name.lower())) or name in load_synonyms().get(term, ())
