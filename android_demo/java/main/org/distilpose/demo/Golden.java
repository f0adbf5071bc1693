package org.distilpose.demo;

import java.util.Arrays;
import java.util.Base64;
import java.util.Locale;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.json.JSONException;
import org.json.JSONObject;

/** A crop and the answer that the artefact gave to it on the host: what is compared before anything is shown or timed. */
final class Golden {
    static final double TOLERANCE_SCORE = 0.05;
    private static final double TOLERANCE_PX = 0.5;

    /** uint8 RGB [height, width, 3]. */
    final byte[] crop;
    /** x, y of each joint in 0..1 of the crop. */
    final float[] coords;
    final float[] scores;
    final double tolerancePx;
    final double toleranceScore;
    /** What the last `compare` measured: the largest distance in pixels and in score. */
    double maxPx;
    double maxScore;

    private Golden(String crop, InputSpec input, float[] coords, float[] scores, double tolerancePx, double toleranceScore)
            throws JSONException {
        this.crop = unpack(crop, input.cropBytes());
        this.coords = coords;
        this.scores = scores;
        this.tolerancePx = tolerancePx;
        this.toleranceScore = toleranceScore;
    }

    /** From a job of the host, which states the tolerances. */
    static Golden ofJob(JSONObject json, InputSpec input) throws JSONException {
        int joints = json.getJSONArray("scores").length();
        return new Golden(json.getString("crop"), input, Json.points(json.getJSONArray("coords"), joints),
            Json.floats(json.getJSONArray("scores"), joints), json.getDouble("tolerance_px"),
            json.getDouble("tolerance_score"));
    }

    /** From a card; the tolerance follows from its answers as in edge/devices/job.py. */
    static Golden ofCard(JSONObject json, InputSpec input, String precision, int joints) throws JSONException {
        JSONObject expected = json.getJSONObject("expected");
        JSONObject lowered = expected.getJSONObject("lowered");
        JSONObject torch = expected.optJSONObject(precision.equals("int8") ? "int8" : "fp32");
        float[] coords = Json.points(lowered.getJSONArray("coords"), joints);
        float[] other = torch == null ? coords : Json.points(torch.getJSONArray("coords"), joints);
        double tolerance = TOLERANCE_PX + 2 * median(distances(coords, other, input));
        return new Golden(json.getString("crop"), input, coords, Json.floats(lowered.getJSONArray("scores"), joints),
            tolerance, TOLERANCE_SCORE);
    }

    /**
     * Compare an answer to the crop.
     *
     * @param artefact its name, for the message
     * @throws Failure it is too far off the card, or has NaN or infinite values
     */
    void compare(String artefact, float[] coords, float[] scores, InputSpec input) throws Failure {
        int wrong = 0;
        for (float value : coords) wrong += Float.isFinite(value) ? 0 : 1;
        for (float value : scores) wrong += Float.isFinite(value) ? 0 : 1;
        double[] pixels = distances(coords, this.coords, input);
        double median = median(pixels);
        maxPx = Arrays.stream(pixels).max().orElse(0);
        maxScore = 0;
        for (int i = 0; i < scores.length; i++) maxScore = Math.max(maxScore, Math.abs(scores[i] - this.scores[i]));
        if (wrong == 0 && median <= tolerancePx && maxScore <= toleranceScore) return;
        String problem = wrong > 0
            ? String.format(Locale.ROOT, "with %d of %d values NaN or infinite; its card allows %.2f px", wrong,
                coords.length + scores.length, tolerancePx)
            : String.format(Locale.ROOT, "%.2f px (median) and %.2f of score off its card, which allows %.2f px", median,
                maxScore, tolerancePx);
        throw new Failure("golden", artefact + " answers the golden crop " + problem + " and " + toleranceScore
            + ": a wrong model is not used");
    }

    private static double[] distances(float[] points, float[] others, InputSpec input) {
        double[] pixels = new double[points.length / 2];
        for (int i = 0; i < pixels.length; i++) {
            double x = (points[2 * i] - others[2 * i]) * input.width;
            double y = (points[2 * i + 1] - others[2 * i + 1]) * input.height;
            pixels[i] = Math.hypot(x, y);
        }
        return pixels;
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int half = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    }

    /** Bytes that were deflated (zlib) and written in base64; no more memory is taken than they need. */
    private static byte[] unpack(String text, int size) throws JSONException {
        Inflater inflater = new Inflater();
        try {
            inflater.setInput(Base64.getDecoder().decode(text));
            byte[] bytes = new byte[size + 1];
            int count = inflater.inflate(bytes);
            if (count != size) throw new JSONException("golden.crop has another size than " + size + " bytes");
            return Arrays.copyOf(bytes, size);
        } catch (DataFormatException | IllegalArgumentException error) {
            throw new JSONException("golden.crop cannot be unpacked: " + Failure.oneLine(error));
        } finally {
            inflater.end();
        }
    }
}
