package org.distilpose.demo;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

/** Cards as JSON: the bundled one, another skeleton, and damaged ones. */
public class CardTest {
    @Test public void theBundledCardIsRead() throws Exception {
        Card card = Bundled.card("int8");
        assertEquals(Runners.TARGET, card.target);
        assertEquals(card.skeleton.joints.length, card.golden.scores.length);
        assertEquals(card.input.cropBytes(), card.golden.crop.length);
        for (int[] limb : card.skeleton.limbs) assertTrue(limb[0] != limb[1]);
        int nose = java.util.Arrays.asList(card.skeleton.joints).indexOf("nose");
        assertEquals(Skeleton.Side.MIDDLE, card.skeleton.sides[nose]);
        int wrist = java.util.Arrays.asList(card.skeleton.joints).indexOf("left_wrist");
        assertEquals(Skeleton.Side.LEFT, card.skeleton.sides[wrist]);
    }

    @Test public void aHandOf21JointsNeedsNoLineOfJava() throws Exception {
        JSONObject json = bundled();
        JSONArray joints = new JSONArray();
        JSONArray limbs = new JSONArray();
        JSONArray coords = new JSONArray();
        JSONArray scores = new JSONArray();
        for (int i = 0; i < 21; i++) {
            joints.put("joint " + i);
            if (i > 0) limbs.put(new JSONArray(new Object[] {"joint " + (i - 1), "joint " + i}));
            coords.put(new JSONArray(new double[] {i / 21.0, 0.5}));
            scores.put(0.5);
        }
        json.put("skeleton", new JSONObject().put("name", "hand").put("joints", joints).put("limbs", limbs)
            .put("flip_pairs", new JSONArray()));
        JSONObject answer = new JSONObject().put("coords", coords).put("scores", scores);
        json.getJSONObject("golden").put("expected", new JSONObject().put("lowered", answer).put("int8", answer));
        Card card = Card.parse(json.toString(), "hand");
        assertEquals(21, card.golden.scores.length);
        assertEquals(20, card.skeleton.limbs.length);
        assertEquals(0.5, card.golden.tolerancePx, 0);
        assertArrayEquals(new int[] {0, 1}, card.skeleton.limbs[0]);
    }

    @Test public void damagedCardsAreRefusedInOneLine() throws Exception {
        refused("", "is no card");
        refused("[]", "is no card");
        refused("{}", "has schema version 0, this app reads 3");
        refused(bundled().put("schema_version", 4).toString(), "schema version 4");
        for (String field : new String[] {"student", "skeleton", "input", "golden", "files", "target", "precision"}) {
            JSONObject json = bundled();
            json.remove(field);
            refused(json.toString(), field);
        }
        JSONObject json = bundled();
        json.getJSONObject("golden").put("crop", "AAAA");
        refused(json.toString(), "golden.crop");
        json = bundled();
        json.getJSONObject("input").put("shape", new JSONArray("[1, 3, 99999, 99999]"));
        refused(json.toString(), "shape");
        json = bundled();
        json.getJSONObject("input").put("std", new JSONArray("[1, 0, 1]"));
        refused(json.toString(), "std");
        json = bundled();
        json.getJSONObject("skeleton").getJSONArray("limbs").put(new JSONArray("[\"nose\", \"tail\"]"));
        refused(json.toString(), "tail");
        json = bundled();
        json.getJSONObject("golden").getJSONObject("expected").getJSONObject("lowered").getJSONArray("scores").put(0.5);
        refused(json.toString(), "18 numbers instead of 17");
    }

    @Test public void aFileThatIsNotThatOfItsCardIsRefused() throws Exception {
        Card card = Bundled.card("int8");
        File other = File.createTempFile("other", ".model");
        Failure failure = assertThrows(Failure.class,
            () -> Model.open("int8", other, card.sha256, card.input, card.golden, 1));
        assertTrue(failure.getMessage(), failure.getMessage().contains("sha256 differs"));
        failure = assertThrows(Failure.class,
            () -> Model.open("int8", other, Model.sha256(other), card.input, card.golden, 1));
        assertTrue(failure.getMessage(), failure.getMessage().contains(" refuses " + other.getName()));
        File missing = new File(other.getPath() + ".none");
        failure = assertThrows(Failure.class, () -> Model.open("x", missing, "", card.input, card.golden, 1));
        assertTrue(failure.getMessage(), failure.getMessage().startsWith("cannot read"));
    }

    @Test public void aWrongAnswerIsRefused() throws Exception {
        Card card = Bundled.card("int8");
        float[] coords = card.golden.coords.clone();
        for (int i = 0; i < coords.length; i += 2) coords[i] += 10f / card.input.width;
        Failure failure = assertThrows(Failure.class,
            () -> card.golden.compare("int8", coords, card.golden.scores, card.input));
        assertTrue(failure.getMessage(), failure.getMessage().contains("10.00 px (median)"));
        coords[3] = Float.NaN;
        failure = assertThrows(Failure.class, () -> card.golden.compare("int8", coords, card.golden.scores, card.input));
        assertTrue(failure.getMessage(), failure.getMessage().contains("1 of 51 values NaN or infinite"));
        card.golden.compare("int8", card.golden.coords, card.golden.scores, card.input);
        assertEquals(0, card.golden.maxPx, 0);
    }

    private static JSONObject bundled() throws Exception {
        return new JSONObject(Vectors.text(new File(Bundled.ASSETS, Bundled.card("int8").file + ".card.json")));
    }

    private static void refused(String text, String reason) {
        Failure failure = assertThrows(Failure.class, () -> Card.parse(text, "x.card.json"));
        assertTrue(failure.getMessage(), failure.getMessage().contains(reason));
        assertTrue(failure.getMessage(), !failure.getMessage().contains("\n"));
    }
}
