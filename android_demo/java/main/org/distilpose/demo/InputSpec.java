package org.distilpose.demo;

import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The tensor that an artefact takes: of a card's `input`, or of an artefact of a job. */
final class InputSpec {
    private static final int LARGEST = 4096; // pixels of a side, as in pose/card.py

    final int width;
    final int height;
    /** Whether channels come first (NCHW) in the tensor. */
    final boolean channelsFirst;
    /** Whether the file takes pixels and normalises them itself; else it takes floats, (pixel - mean) / std. */
    final boolean takesPixels;
    /** Whether the tensor's channels are in the order B, G, R. */
    final boolean blueFirst;
    /** In the order R, G, B whatever the tensor's, in 0..255. */
    final float[] mean;
    final float[] std;

    private InputSpec(int[] shape, String layout, String dtype, String colour, float[] mean, float[] std) {
        height = shape[2];
        width = shape[3];
        channelsFirst = layout.equals("NCHW");
        takesPixels = dtype.equals("uint8");
        blueFirst = colour.equals("BGR");
        this.mean = mean;
        this.std = std;
    }

    /**
     * From JSON with shape (N, C, H, W whatever the layout), layout, dtype, colour, mean and std.
     *
     * @throws JSONException a field is missing or of another type
     * @throws Failure a value that no student has
     */
    static InputSpec parse(JSONObject json) throws JSONException, Failure {
        JSONArray sides = json.getJSONArray("shape");
        int[] shape = new int[sides.length()];
        for (int i = 0; i < shape.length; i++) shape[i] = sides.getInt(i);
        if (shape.length != 4 || shape[0] != 1 || shape[1] != 3 || !isSide(shape[2]) || !isSide(shape[3])) {
            throw new Failure("artefact",
                "the card's input shape " + sides + " is not [1, 3, height, width]; export it again");
        }
        String layout = json.getString("layout");
        String dtype = json.getString("dtype");
        String colour = json.getString("colour");
        if (!layout.equals("NCHW") && !layout.equals("NHWC") || !dtype.equals("float32") && !dtype.equals("uint8")
                || !colour.equals("RGB") && !colour.equals("BGR")) {
            throw new Failure("artefact", "the card's input is " + dtype + " " + layout + " in " + colour
                + ", which this app does not know");
        }
        float[] std = Json.floats(json.getJSONArray("std"), 3);
        for (float one : std) {
            if (!(one > 0)) throw new Failure("artefact", "the card's std has " + one + ", not above 0; export it again");
        }
        return new InputSpec(shape, layout, dtype, colour, Json.floats(json.getJSONArray("mean"), 3), std);
    }

    private static boolean isSide(int side) {
        return side >= 1 && side <= LARGEST;
    }

    /** Bytes of a crop: RGB, row by row. */
    int cropBytes() {
        return 3 * width * height;
    }

    /** Bytes of the tensor. */
    int tensorBytes() {
        return (takesPixels ? 1 : Float.BYTES) * cropBytes();
    }
}
