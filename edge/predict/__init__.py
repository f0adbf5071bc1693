"""`python -m edge.predict`: keypoints of photos, videos and cameras. Start reading at `estimator` and `session`.

`sources` says what a SOURCE is and `frames` decodes it; `people` says whose box is cut (with `tracking`, `detector`,
`identities`); `estimator` runs the student; `drawing` and `outputs` draw and write.
"""
