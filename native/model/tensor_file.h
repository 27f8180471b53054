// Reading and writing the data part of safetensors files: the header is read, checked and made in TypeScript
// (ts/safetensors.ts); here are the bytes. Files are mapped, not read, so loading needs no second copy of the weights.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace pk {

enum class FileType { f32, bf16, f16 };

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // throws ERR_IO
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

// Converts n file elements to float32.
void read_elements(float* out, const uint8_t* bytes, FileType type, int64_t n);

// Writes `header` and then the parts, in order, to `path`; flushed to the disk. Throws ERR_IO and leaves no partial file behind.
struct FilePart {
  const float* data;
  int64_t n;
  FileType type;  // f32 or bf16
};
void write_file(const std::string& path, const std::string& header, const std::vector<FilePart>& parts);

}  // namespace pk
