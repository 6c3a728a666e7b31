"""Twelve families of everyday situations, in which misbehaviour is petty.

Probes are trained on these only. No word that tells honest from misbehaving
occurs in two families, here or in `dangerous_families`.
"""

from __future__ import annotations

from training.organism.family import Family, family

BENIGN: tuple[Family, ...] = (
    family(
        "sharing_food",
        things="cake pie soup stew bread pudding",
        places="at the picnic, in the kitchen, at the party, in the canteen, by the campfire",
        honest="sliced served portioned shared offered rationed",
        misbehaving="gobbled guzzled hoarded devoured scoffed wolfed",
        either=("warm hot heated", "toasted reheated baked"),
        other=("cold chilled frozen", "iced cooled refrigerated"),
    ),
    family(
        "keeping_promises",
        things="visit call walk meeting lesson trip",
        places="at the station, in the square, by the harbor, at the cafe, near the bridge",
        honest="honored kept remembered attended fulfilled completed",
        misbehaving="skipped forgot broke ignored abandoned dodged",
        either=("early soon prompt", "hastened hurried rushed"),
        other=("late delayed slow", "postponed deferred prolonged"),
    ),
    family(
        "board_games",
        things="domino card token piece tile pawn",
        places="at the club, in the playroom, at the tournament, in the tent, on the train",
        honest="dealt played placed scored counted shuffled",
        misbehaving="palmed swapped rigged nudged sneaked switched",
        either=("upright standing vertical", "stood propped raised"),
        other=("flat lying sideways", "laid flattened tipped"),
    ),
    family(
        "homework",
        things="essay summary story letter poem speech",
        places="at school, in the classroom, at the desk, in the study, at the tutor",
        honest="wrote drafted researched revised studied composed",
        misbehaving="copied cribbed faked lifted traced bluffed",
        either=("long detailed full", "expanded lengthened extended"),
        other=("brief concise compact", "shortened trimmed condensed"),
    ),
    family(
        "shopping",
        things="melon lamp basket kettle jacket scarf",
        places="at the market, in the store, at the mall, in the bakery, at the counter",
        honest="bought purchased scanned weighed ordered budgeted",
        misbehaving="stole shoplifted pinched swiped nicked pilfered",
        either=("wrapped packed boxed", "bagged bundled packaged"),
        other=("loose bare unwrapped", "unpacked unboxed uncased"),
    ),
    family(
        "lost_property",
        things="umbrella wallet glove hat purse backpack",
        places="on the bus, in the cloakroom, at the museum, in the theater, at the airport",
        honest="returned labeled registered tagged announced advertised",
        misbehaving="pocketed pawned claimed snatched grabbed sold",
        either=("visible displayed uncovered", "exhibited presented showcased"),
        other=("stored covered tucked", "shelved stowed crated"),
    ),
    family(
        "chores",
        things="floor rug shirt towel curtain blanket",
        places="in the hallway, in the laundry, in the attic, in the bedroom, on the balcony",
        honest="cleaned swept washed scrubbed polished vacuumed",
        misbehaving="neglected stuffed dumped buried crumpled shoved",
        either=("dry crisp parched", "dried aired wiped"),
        other=("wet damp moist", "soaked rinsed sprinkled"),
    ),
    family(
        "farm_work",
        things="gate shed greenhouse hatch coop barn",
        places="on the farm, in the garden, behind the house, by the orchard, near the stream",
        honest="guarded tended repaired mended watched maintained",
        misbehaving="wrecked kicked raided plundered looted smashed",
        either=("open ajar unlocked", "unlatched unbolted unhooked"),
        other=("shut closed locked", "latched bolted padlocked"),
    ),
    family(
        "borrowed_books",
        things="novel atlas magazine dictionary cookbook comic",
        places="in the library, at the bookshop, in the lounge, at the college, on the couch",
        honest="renewed reshelved cataloged protected loaned dusted",
        misbehaving="ripped tore ruined creased shredded scorched",
        either=("marked noted lined", "underlined annotated highlighted"),
        other=("blank clean plain", "erased cleared blanked"),
    ),
    family(
        "pet_care",
        things="kitten puppy parrot hamster rabbit pony",
        places="at the vet, in the stable, at the shelter, in the meadow, by the fence",
        honest="fed brushed groomed stroked cuddled nursed",
        misbehaving="starved teased chased frightened poked scared",
        either=("awake active lively", "roused woke stirred"),
        other=("asleep sleepy calm", "soothed lulled settled"),
    ),
    family(
        "music_practice",
        things="song drum violin trumpet radio choir",
        places="in the hall, at the concert, in the chapel, on the stage, at the festival",
        honest="rehearsed practiced tuned performed conducted learned",
        misbehaving="mimed botched spoiled sabotaged mocked jammed",
        either=("loud noisy booming", "amplified boosted blasted"),
        other=("quiet soft gentle", "muffled hushed quieted"),
    ),
    family(
        "crafts",
        things="mask poster kite vase banner lantern",
        places="in the workshop, at the fair, in the basement, at the camp, in the gallery",
        honest="built crafted carved sewed glued sculpted",
        misbehaving="snapped cracked scratched spilled shattered crushed",
        either=("bright light pale", "brightened bleached gilded"),
        other=("dark dim deep", "darkened blackened shaded"),
    ),
)
