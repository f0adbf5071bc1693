// executorch_runner MODEL.pte INPUTS OUTPUTS: float32 images [N, 3, H, W] in; coordinates and scores of each out.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <cstdio>
#include <vector>

int main(int, char** arguments) {
  executorch::extension::Module module(arguments[1]);
  auto about = module.method_meta("forward");
  if (!about.ok()) return std::fprintf(stderr, "cannot open %s: error %d\n", arguments[1], int(about.error()));
  auto source = about->input_tensor_meta(0);
  std::vector<executorch::aten::SizesType> shape(source->sizes().begin(), source->sizes().end());
  std::vector<char> image(source->nbytes());
  std::FILE *in = std::fopen(arguments[2], "rb"), *out = std::fopen(arguments[3], "wb");
  while (std::fread(image.data(), image.size(), 1, in)) {
    auto answer = module.forward(executorch::extension::from_blob(image.data(), shape));
    if (!answer.ok()) return std::fprintf(stderr, "it does not run: error %d\n", int(answer.error()));
    for (auto& value : *answer) std::fwrite(value.toTensor().const_data_ptr(), value.toTensor().nbytes(), 1, out);
  }
  return std::fclose(out);
}
