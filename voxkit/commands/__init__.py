"""The lobby: every command with one honest line. A command lives in the folder of its name (`-` becomes `_`)."""

COMMANDS: dict[str, str] = {
    "prepare": "Turn a corpus, a folder of audio or a Kaldi data directory into manifests; pronunciations too.",
    "cuts": "Divide, sample, join and describe CutSets, and add noise to them.",
    "featurize": "Compute fbank, MFCC or log-STFT features for a CutSet, in parallel and resumably.",
    "make-graph": "Build token tables, lexicon, n-gram language model and decoding graph.",
    "train-am": "Train a CTC acoustic model over phones, characters or sub-words.",
    "g2p": "Learn to pronounce words in many languages, and pronounce them.",
    "ner": "Find named entities and slots in text and in what was recognised: learn it, apply it, measure it.",
    "lm-nce": "Learn language models of many corpora, rescore what was recognised with them, and sample text.",
    "decode": "Recognise cuts or audio files: greedy or through lattices; score where references exist.",
    "select-data": "Choose machine-labelled utterances that are worth training on, under a budget of hours.",
    "score-confidence": "Say how sure to be of recognised words: learn it, apply it, and measure it.",
    "audio-event": "Tell sounds, in clips and in long recordings: learn it, apply it, measure it.",
    "spoken-term": "Tell spoken words, in clips and in a stream: learn it, apply it, measure it.",
    "distill": "Train a small model with a large one's answers, for weights of a few bits too.",
    "quantize": "Store a model's weights in 2 to 8 bits, after training or by training for it; int8 inference.",
    "submit": "Run a voxkit command as an array of jobs on this machine or on Slurm.",
    "doctor": "Say what is installed, what is missing, and how to mend it.",
}
