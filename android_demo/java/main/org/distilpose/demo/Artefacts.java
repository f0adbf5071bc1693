package org.distilpose.demo;

import android.content.Context;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** The artefacts in the app's assets: each with its card beside it, as `NAME.card.json`. */
final class Artefacts {
    private static final String CARD = ".card.json";

    private final Context context;
    /** Precision -> card, of the runtime that this app packs. */
    private final Map<String, Card> cards = new LinkedHashMap<>();

    /**
     * Read the cards.
     *
     * @throws Failure there are none, one is damaged, or none is for this app's runtime
     */
    Artefacts(Context context) throws Failure {
        this.context = context;
        Card other = null;
        for (String name : names(context)) {
            if (!name.endsWith(CARD)) continue;
            Card card = Card.parse(new String(read(name), StandardCharsets.UTF_8), name);
            if (!name.equals(card.file + CARD)) {
                throw new Failure("artefact", name + " is the card of " + card.file + "; export the artefact again");
            }
            if (card.target.equals(Runners.TARGET)) cards.put(card.precision, card);
            else other = card;
        }
        if (!cards.isEmpty()) return;
        String reason = other == null ? "this app has no model"
            : "the model " + other.file + " is for " + other.target + ", and this app runs " + Runners.TARGET;
        throw new Failure("artefact", reason + "; run python -m edge.export --target " + Runners.TARGET
            + " --android android_demo, and build it again");
    }

    boolean has(String precision) {
        return cards.containsKey(precision);
    }

    /** The card of that precision; the first one if there is none. */
    Card card(String precision) {
        Card card = cards.get(precision);
        return card == null ? cards.values().iterator().next() : card;
    }

    /**
     * Open an artefact and compare its answer to the golden crop with the card's.
     *
     * @throws Failure it is missing or damaged, the storage is full, the runtime refuses it, or the answer is wrong
     */
    Model open(Card card, int threads) throws Failure {
        File file = new File(context.getFilesDir(), card.sha256.substring(0, 16) + "-" + card.file);
        if (!file.isFile() || !Model.sha256(file).equals(card.sha256)) extract(card.file, file);
        Model model = Model.open(card.file, file, card.sha256, card.input, card.golden, threads);
        try {
            model.replay();
            return model;
        } catch (Failure failure) {
            model.close();
            throw failure;
        }
    }

    private void extract(String asset, File file) throws Failure {
        File part = new File(file.getPath() + ".part");
        try (InputStream in = context.getAssets().open(asset); OutputStream out = new FileOutputStream(part)) {
            copy(in, out);
        } catch (IOException error) {
            part.delete();
            throw new Failure("artefact", "cannot unpack " + asset + "; free some storage, or build the app again", error);
        }
        if (!part.renameTo(file)) throw new Failure("artefact", "cannot write " + file + "; free some storage");
    }

    private static String[] names(Context context) throws Failure {
        try {
            String[] names = context.getAssets().list("");
            Arrays.sort(names);
            return names;
        } catch (IOException error) {
            throw new Failure("artefact", "the app's assets cannot be read; install it again", error);
        }
    }

    private byte[] read(String asset) throws Failure {
        try (InputStream in = context.getAssets().open(asset)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            copy(in, bytes);
            return bytes.toByteArray();
        } catch (IOException error) {
            throw new Failure("artefact", asset + " cannot be read; install the app again", error);
        }
    }

    private static void copy(InputStream in, OutputStream out) throws IOException {
        byte[] block = new byte[1 << 16];
        for (int count; (count = in.read(block)) > 0; ) out.write(block, 0, count);
    }
}
