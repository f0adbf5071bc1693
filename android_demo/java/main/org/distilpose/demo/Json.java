package org.distilpose.demo;

import org.json.JSONArray;
import org.json.JSONException;

/** Arrays of numbers in JSON. */
final class Json {
    private Json() {}

    /**
     * Numbers of an array.
     *
     * @throws JSONException it has another length, or something in it is no finite number
     */
    static float[] floats(JSONArray array, int length) throws JSONException {
        if (array.length() != length) throw new JSONException(array.length() + " numbers instead of " + length);
        float[] numbers = new float[length];
        for (int i = 0; i < length; i++) {
            numbers[i] = (float) array.getDouble(i);
            if (!Float.isFinite(numbers[i])) throw new JSONException(array.get(i) + " is no finite number");
        }
        return numbers;
    }

    /** Points [K][2] as x, y, x, y, ...; errors as `floats`. */
    static float[] points(JSONArray array, int count) throws JSONException {
        if (array.length() != count) throw new JSONException(array.length() + " points instead of " + count);
        float[] numbers = new float[2 * count];
        for (int i = 0; i < count; i++) System.arraycopy(floats(array.getJSONArray(i), 2), 0, numbers, 2 * i, 2);
        return numbers;
    }
}
