package org.distilpose.demo;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** Cases that Python wrote (app_vectors.py), and how they are read. */
final class Vectors {
    static final File WORK = new File(System.getProperty("work"));

    private Vectors() {}

    static List<JSONObject> cases(String name) throws Exception {
        JSONArray array = new JSONArray(text(new File(WORK, "vectors/" + name + ".json")));
        List<JSONObject> cases = new ArrayList<>();
        for (int i = 0; i < array.length(); i++) cases.add(array.getJSONObject(i));
        if (cases.isEmpty()) throw new AssertionError("no cases in " + name);
        return cases;
    }

    static String text(File file) throws Exception {
        return new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
    }

    static byte[] bytes(JSONObject json, String name) throws JSONException {
        return Base64.getDecoder().decode(json.getString(name));
    }

    /** A direct buffer, as those of a camera. */
    static ByteBuffer direct(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
        buffer.put(bytes).rewind();
        return buffer;
    }

    static double[] doubles(JSONArray array) throws JSONException {
        double[] numbers = new double[array.length()];
        for (int i = 0; i < numbers.length; i++) numbers[i] = array.getDouble(i);
        return numbers;
    }

    static YuvFrame frame(JSONObject json) throws JSONException {
        YuvFrame frame = new YuvFrame();
        frame.copy(json.getInt("width"), json.getInt("height"), direct(bytes(json, "y")), json.getInt("yRow"),
            direct(bytes(json, "u")), direct(bytes(json, "v")), json.getInt("uvRow"), json.getInt("uvPixel"));
        return frame;
    }
}
