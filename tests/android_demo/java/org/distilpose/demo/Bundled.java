package org.distilpose.demo;

import java.io.File;
import java.util.Objects;

/** The artefacts that the app was built with, from the folder of its assets. */
final class Bundled {
    static final File ASSETS = new File(Vectors.WORK, "assets");

    private Bundled() {}

    static Card card(String precision) throws Exception {
        for (File file : Objects.requireNonNull(ASSETS.listFiles())) {
            if (!file.getName().endsWith(".card.json")) continue;
            Card card = Card.parse(Vectors.text(file), file.getName());
            if (card.precision.equals(precision)) return card;
        }
        throw new AssertionError("no " + precision + " model in " + ASSETS);
    }

    static Model open(String precision, int threads) throws Exception {
        Card card = card(precision);
        File file = new File(ASSETS, card.file);
        return Model.open(card.file, file, card.sha256, card.input, card.golden, threads);
    }
}
