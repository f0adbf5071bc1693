package org.distilpose.demo;

import java.util.Iterator;
import org.json.JSONException;
import org.json.JSONObject;

/** An artefact's card, as JSON: what pose/card.py writes. Only what an app needs is read. */
final class Card {
    private static final int SCHEMA = 3;

    final String student;
    final String target;
    final String precision;
    final Skeleton skeleton;
    final InputSpec input;
    /** The crop's side over that of the box. */
    final double padding;
    final Golden golden;
    /** The artefact's name and sha256. */
    final String file;
    final String sha256;

    private Card(JSONObject json) throws JSONException, Failure {
        student = json.getString("student");
        target = json.getString("target");
        precision = json.getString("precision");
        skeleton = Skeleton.parse(json.getJSONObject("skeleton"));
        JSONObject take = json.getJSONObject("input");
        input = InputSpec.parse(take);
        padding = take.getDouble("padding");
        if (!(padding > 0 && padding < 1e3)) throw new JSONException("input.padding " + padding + " is not above 0");
        golden = Golden.ofCard(json.getJSONObject("golden"), input, precision, skeleton.joints.length);
        JSONObject files = json.getJSONObject("files");
        Iterator<String> names = files.keys();
        if (files.length() != 1) throw new JSONException("files names " + files.length() + " artefacts");
        file = names.next();
        sha256 = files.getString(file);
    }

    /**
     * Parse a card.
     *
     * @param where its name, for the message
     * @throws Failure it is no card, of another schema version, or a field is missing or wrong
     */
    static Card parse(String text, String where) throws Failure {
        try {
            JSONObject json = new JSONObject(text);
            int schema = json.optInt("schema_version");
            if (schema != SCHEMA) {
                throw new Failure("artefact", where + " has schema version " + schema + ", this app reads " + SCHEMA
                    + "; export the artefact again");
            }
            return new Card(json);
        } catch (JSONException error) {
            throw new Failure("artefact", where + " is no card of an artefact; export the artefact again", error);
        }
    }
}
