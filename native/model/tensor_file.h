// Reading and writing the data part of safetensors files: the header is read, checked and made in TypeScript
// (ts/safetensors.ts); here are the bytes. Files are mapped, not read, and pages are given back as soon as they were taken
// over, so loading needs no second copy of the weights.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/tensor.h"

namespace pk {

enum class FileType { f32, bf16, f16 };
inline int64_t file_type_size(FileType type) { return type == FileType::f32 ? 4 : 2; }

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // throws ERR_IO
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }
  void forget(int64_t begin, int64_t end) const;  // these bytes will not be needed again

 private:
  const uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

// Whether n elements at byte `begin` lie within a file of `size` bytes, whatever the numbers.
bool within_file(int64_t begin, FileType type, int64_t n, int64_t size);

// Converts n file elements, as they lie in the file, to float32 or bfloat16.
void convert_elements(Tensor out, const uint8_t* bytes, FileType type);

// Fills `to`, in `memory`, from the file's bytes at `begin`, converting where types differ. Throws ERR_MODEL_FORMAT when the file ends before.
void load_tensor(Memory& memory, Tensor to, const MappedFile& file, int64_t begin, FileType type);

// Writes `header` and then the parts (f32 or bf16, in `memory`), in order, to `path`; flushed to the disk. Throws ERR_IO, or
// ERR_UNSUPPORTED for a number that float16 cannot hold, and leaves no partial file behind.
struct FilePart {
  Tensor data;
  FileType type;
};
void write_file(const std::string& path, const std::string& header, const std::vector<FilePart>& parts, Memory& memory);

}  // namespace pk
