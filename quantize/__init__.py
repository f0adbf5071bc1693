"""Float distillation, calibration and quantization-aware fine-tuning: a student in, an int8 program out."""
