"""The templates and slot values of the embedded corpus: voice commands in ten domains.

In a template, `(a|b)` is a choice, `[a]` may be left out, `{name}` is a slot, and `{name:role}` gives it another name
in the annotation. Slot values are templates too.
"""

from __future__ import annotations

# domain -> intent -> templates
TEMPLATES: dict[str, dict[str, tuple[str, ...]]] = {
    "lights": {
        "light_on": (
            "[please] (turn|switch) on the {light} in the {room}",
            "(turn|switch) the {room} {light} on [please]",
            "i (want|need) more light in the {room}",
        ),
        "light_off": (
            "[please] (turn|switch) off the {light} in the {room}",
            "(turn|switch) the {room} {light} off [please]",
            "make it dark in the {room}",
        ),
        "light_level": (
            "(dim|set) the {light} in the {room} to {percent} percent",
            "make the {room} {light} (brighter|darker|{color})",
            "change the {light} in the {room} to {color}",
        ),
    },
    "music": {
        "play": (
            "play [some] {genre} [music] [in the {room}]",
            "(play|start) the (song|album) {title} by {artist}",
            "i (want|would like) to (hear|listen to) {artist}",
            "play something by {artist} [on the {speaker}]",
        ),
        "volume": (
            "turn (up|down) the (volume|music) [a little]",
            "set the volume [of the {speaker}] to {percent}",
        ),
        "control": (
            "(skip|repeat|stop) this song [please]",
            "(pause|stop) the music in the {room}",
            "what is the name of this (song|album)",
            "add this song to my {list} list",
        ),
    },
    "timers": {
        "set_timer": (
            "set a timer for {duration}",
            "start a {duration} timer for the {food}",
            "[please] count down {duration}",
        ),
        "set_alarm": (
            "wake me up at {time} [on {day}]",
            "set an alarm for {time} [on {day}]",
            "move my alarm from {time} to {time:new_time}",
        ),
        "cancel": (
            "(cancel|delete|stop) the {food} timer",
            "(cancel|delete) my alarm (for|at) {time}",
            "how (much|long) is left on the {food} timer",
        ),
    },
    "weather": {
        "forecast": (
            "what is the weather (like|going to be) in {city} [on {day}]",
            "will it (rain|snow|be sunny|be windy) [in {city}] on {day}",
            "how (cold|warm|hot) will it get in {city} on {day}",
            "do i need (an umbrella|a coat) in {city} on {day}",
        ),
        "temperature": (
            "what is the temperature in (the {room}|{city})",
            "set the heating in the {room} to {degrees} degrees",
            "is it (colder|warmer) than {degrees} degrees in {city}",
        ),
    },
    "shopping": {
        "add_item": (
            "add {quantity} {food} to my {list} list",
            "[please] put {food} and {food:other_item} on the {list} list",
            "we (need|are out of) {food}",
        ),
        "order": (
            "order {quantity} {food} from {shop}",
            "how much is {food} at {shop}",
            "buy {food} for {number} (dollars|pounds)",
        ),
        "remove_item": (
            "(remove|take) {food} from my {list} list",
            "is {food} on the {list} list",
        ),
    },
    "calls": {
        "call": (
            "(call|ring) {person} [on (his|her) mobile]",
            "call {person} at (home|work)",
            "dial {digits}",
            "start a video call with {person} and {person:other_person}",
        ),
        "message": (
            "(send|write) a message to {person} [please]",
            "tell {person} (that|) i will be late [on {day}]",
            "read my (last|new) messages from {person}",
        ),
    },
    "travel": {
        "navigate": (
            "how do i get to {city} by {vehicle}",
            "(drive|take me) to {shop} in {city}",
            "how far is it from {city} to {city:destination}",
        ),
        "book": (
            "book a {vehicle} (ticket|) from {city} to {city:destination} on {day}",
            "when does the next {vehicle} (leave for|arrive from) {city}",
            "find a hotel in {city} for {number} nights",
        ),
    },
    "calendar": {
        "create_event": (
            "(plan|book) a {event} with {person} on {day} at {time}",
            "move the {event} on {day} to {time}",
            "remind me to call {person} at {time}",
            "remind me of the {event} on {day}",
        ),
        "query": (
            "when is my (next|first) {event} [on {day}]",
            "what do i have on {day} [at {time}]",
            "am i free on {day} at {time}",
        ),
        "date": (
            "put the {event} on the {ordinal} of {month}",
            "which day is the {ordinal} of {month}",
        ),
    },
    "home": {
        "device": (
            "(start|stop) the {machine} [at {time}]",
            "(open|close|lock) the {door} in the {room}",
            "is the {door} in the {room} (open|closed|locked)",
            "clean the {room} with the {machine}",
        ),
        "television": (
            "(show|record) {title} on the {screen} in the {room}",
            "switch the {screen} to channel {number}",
        ),
    },
    "spelling": {
        "spell": (
            "spell {person} {letters}",
            "my name is spelled {letters}",
            "the code is {letters} {digits}",
            "(search|look) for {letters}",
        ),
        "number": (
            "what is {number} (plus|times|minus) {number:other_number}",
            "my number is {digits}",
            "{digits} is (right|wrong)",
            "the answer is {thousands}",
        ),
    },
}

# Closed slots: few values, each of them frequent.
SLOTS: dict[str, tuple[str, ...]] = {
    "light": ("lights", "lamp", "ceiling light", "reading lamp"),
    "room": (
        "kitchen", "bedroom", "bathroom", "living room", "dining room", "hall", "office", "garage", "garden", "cellar",
        "nursery",
    ),
    "color": ("red", "green", "blue", "yellow", "orange", "purple", "white", "warm white"),
    "percent": ("{ten}", "{ten} five", "{teen}", "one hundred"),
    "genre": ("jazz", "rock", "folk", "pop", "classical", "country", "reggae", "blues", "opera", "electronic"),
    "speaker": ("kitchen speaker", "television", "headphones", "big speaker"),
    "list": ("shopping", "travel", "birthday", "holiday", "school", "favorite"),
    "duration": (
        "{small} minutes", "{teen} minutes", "{ten} {unit} minutes", "{ten} seconds", "{small} hours",
        "an hour and {ten} minutes", "half an hour", "a quarter of an hour",
    ),
    "time": (
        "{hour} {half}", "{hour} thirty [{half}]", "{hour} {teen}", "half past {hour}", "quarter (past|to) {hour}",
        "{small} minutes (past|to) {hour}", "{hour} o'clock", "noon", "midnight",
    ),
    "half": ("a m", "p m", "in the morning", "in the evening"),
    "hour": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    "day": (
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "the weekend", "monday morning",
        "friday evening", "sunday afternoon", "wednesday night",
    ),
    "month": (
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december",
    ),
    "ordinal": (
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth", "fifteenth", "twentieth", "twenty first", "twenty third", "thirtieth",
    ),
    "unit": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "small": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    "teen": (
        "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    ),
    "ten": ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    "number": ("{small}", "{teen}", "{ten} {unit}", "{ten}", "{unit} hundred", "{unit} hundred and {ten} {unit}"),
    "thousands": (
        "{unit} thousand", "{small} thousand {unit} hundred", "{unit} hundred thousand",
        "{ten} {unit} thousand and {teen}",
    ),
    "degrees": ("{teen}", "twenty", "twenty {unit}", "thirty", "minus {unit}", "zero"),
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "digits": (
        "{digit} {digit} {digit}", "{digit} {digit} {digit} {digit}", "{digit} {digit} double {digit}",
        "{digit} {digit} {digit} {digit} {digit} {digit}",
    ),
    "quantity": ("{small}", "a bottle of", "a box of", "a bag of", "{small} pounds of", "half a pound of", "a dozen"),
    "food": (
        "apples", "bananas", "bread", "butter", "carrots", "cheese", "chicken", "chocolate", "coffee", "cookies",
        "eggs",
        "fish", "flour", "honey", "juice", "lemons", "milk", "mushrooms", "noodles", "olive oil", "onions", "pasta",
        "pepper", "potatoes", "rice", "salad", "salt", "soup", "sugar", "tea", "tomatoes", "yogurt",
    ),
    "vehicle": ("train", "bus", "car", "plane", "boat", "bike", "taxi"),
    "event": (
        "meeting", "party", "lunch", "dinner", "concert", "lesson", "game", "interview", "wedding", "dentist visit",
        "phone call",
    ),
    "machine": ("dishwasher", "washing machine", "oven", "robot", "coffee machine", "fan", "dryer", "vacuum"),
    "door": ("door", "window", "curtains", "blinds", "gate", "cupboard"),
    "screen": ("television", "screen", "projector"),
}  # fmt: skip

# Open slots: names. As many are used as the asked vocabulary has room for; beyond these, names are coined.
NAMES: dict[str, tuple[str, ...]] = {
    "person": (
        "anna", "peter", "maria", "john", "sarah", "david", "laura", "thomas", "emily", "michael", "julia", "robert",
        "sophie", "daniel", "alice", "martin", "helen", "oscar", "nina", "george", "clara", "simon", "rachel", "victor",
        "diana", "henry", "susan", "patrick", "olivia", "kevin", "megan", "walter", "irene", "frank", "carla", "philip",
        "angela", "bruno", "monica", "gordon", "teresa", "lewis", "paula", "arthur", "vera", "edgar", "ruth", "felix",
        "gloria", "hugo", "judith", "ivan", "linda", "jasper", "nora", "leonard", "tina", "marcus", "wendy", "nathan",
        "yvonne", "ralph", "zoe", "stanley", "abigail", "duncan", "bridget", "fergus", "naomi", "malcolm", "priya",
        "rajesh", "mei", "kenji", "fatima", "omar", "ingrid", "lars", "chloe", "pierre",
    ),
    "city": (
        "london", "boston", "glasgow", "kingston", "dublin", "chicago", "paris", "berlin", "madrid", "vienna", "lisbon",
        "oslo", "toronto", "sydney", "denver", "seattle", "oxford", "leeds", "cardiff", "aberdeen", "houston",
        "memphis",
        "detroit", "phoenix", "dallas", "portland", "bristol", "norwich", "dundee", "plymouth", "zurich", "geneva",
        "milan", "venice", "prague", "warsaw", "athens", "cairo", "nairobi", "mumbai", "delhi", "tokyo", "osaka",
        "seoul",
        "manila", "jakarta", "lima", "bogota", "havana", "nassau", "montreal", "vancouver", "auckland", "perth",
        "hamburg", "munich", "naples", "turin", "porto", "valencia", "bergen", "helsinki", "riga", "budapest",
    ),
    "artist": (
        "mozart", "the river band", "nina stone", "bach", "the blue wolves", "vivaldi", "golden harbor", "max winter",
        "schubert", "the paper kings", "silver moon", "ella brown", "handel", "the night drivers", "tom archer",
        "chopin", "the silent mountains", "lily waters", "haydn", "the broken clocks", "brahms", "sam rivers",
    ),
    "title": (
        "summer rain", "midnight train", "the long way home", "winter stars", "dancing in the dark", "the lost island",
        "over the hills", "morning coffee", "the last castle", "silver spoon", "under the bridge", "wild horses",
        "the secret garden", "thunder road", "hello stranger", "the tiger queen", "paper moon", "fire and water",
        "the great escape", "candle light",
    ),
    "shop": (
        "the bakery", "the corner shop", "the market", "the pharmacy", "the book store", "the supermarket",
        "the flower shop", "the butcher", "the hardware store", "the toy shop",
    ),
}  # fmt: skip

# Syllables of coined names.
ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
)
NUCLEI = ("a", "e", "i", "o", "u", "ee", "oo", "ai")
CODAS = ("", "", "", "n", "l", "r", "s", "m", "t", "nd", "x")
