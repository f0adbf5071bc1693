package org.distilpose.demo;

import java.util.HashMap;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The joints of a card, their sides and the limbs between them. */
final class Skeleton {
    enum Side { LEFT, RIGHT, MIDDLE }

    final String name;
    final String[] joints;
    /** Of each joint, by the card's flip pairs, whose first joint is the person's left one. */
    final Side[] sides;
    /** Pairs of joints [limbs][2], by index. */
    final int[][] limbs;

    private Skeleton(String name, String[] joints, Side[] sides, int[][] limbs) {
        this.name = name;
        this.joints = joints;
        this.sides = sides;
        this.limbs = limbs;
    }

    /**
     * From a card's `skeleton`.
     *
     * @throws JSONException a field is missing, or a pair names a joint that is not there
     */
    static Skeleton parse(JSONObject json) throws JSONException {
        JSONArray names = json.getJSONArray("joints");
        String[] joints = new String[names.length()];
        Side[] sides = new Side[joints.length];
        Map<String, Integer> index = new HashMap<>();
        for (int i = 0; i < joints.length; i++) {
            joints[i] = names.getString(i);
            sides[i] = Side.MIDDLE;
            if (index.put(joints[i], i) != null) throw new JSONException("two joints are called " + joints[i]);
        }
        if (joints.length == 0) throw new JSONException("a skeleton without joints");
        for (int[] pair : pairs(json.getJSONArray("flip_pairs"), index)) {
            sides[pair[0]] = Side.LEFT;
            sides[pair[1]] = Side.RIGHT;
        }
        return new Skeleton(json.getString("name"), joints, sides, pairs(json.getJSONArray("limbs"), index));
    }

    private static int[][] pairs(JSONArray array, Map<String, Integer> index) throws JSONException {
        int[][] pairs = new int[array.length()][2];
        for (int i = 0; i < pairs.length; i++) {
            for (int end = 0; end < 2; end++) {
                String joint = array.getJSONArray(i).getString(end);
                Integer place = index.get(joint);
                if (place == null) throw new JSONException("no joint is called " + joint);
                pairs[i][end] = place;
            }
        }
        return pairs;
    }
}
