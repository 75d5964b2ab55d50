// Sums weighed by something that is no softmax, and when it pays to compute the weights where the
// keys stream by.
#pragma once

#include "compiler/equations/Joint.h"
#include "compiler/equations/Softmaxes.h"

#include <unordered_map>

namespace qkv::equations {

/// A sum[letters](w * factors where guard) taken apart: `by` has the weights as a reduction of
/// kind Sum with a guard and a position, as a softmax has them.
struct PlainSum {
  WeighedBy by;
  std::vector<ExprPtr> divisors; ///< of the whole sum
  bool negative = false;
};

class PlainWeights {
public:
  PlainWeights(Program &program, Softmaxes &softmaxes) : program_(program), softmaxes_(softmaxes) {}

  /// The sum taken apart if its weights are better never stored; `reason` says why not, or is
  /// empty where there is nothing like weights of rows and keys.
  std::optional<PlainSum> of(const ExprPtr &sum, std::string &reason);

  /// To be called where equations were rewritten: what was found through them holds no longer.
  void forget() {
    found_.clear();
    linear_.clear();
  }

private:
  /// A product under a sum, through definitions.
  struct Product {
    std::vector<ExprPtr> factors, divisors;
    ExprPtr guard;
    bool negative = false;
  };
  /// What an expression over a row and a key is made of.
  struct Makeup {
    bool ofRow = false, ofKey = false; ///< something of the row alone, of the key alone
    bool keyData = false;              ///< that of the key is no parameter
    bool keyLetter = false;            ///< or the key's number itself
    bool inMemory = false;             ///< an element for row and key that is read
    bool computed = false;             ///< joins them at a cost: a sum over more, a function
    std::string refusal;               ///< why it must stay a tensor
  };

  void flatten(const ExprPtr &e, const std::vector<int> &letters, Product &out);
  bool sumInside(const std::vector<int> &letters, int key, Product &product);
  int rowOf(const Product &product, int key, const std::vector<int> &letters);
  Makeup makeup(const ExprPtr &e, int row, int key);
  Makeup makeupOfRead(const ExprPtr &e, int row, int key);
  std::string indicesOf(const ExprPtr &read, int row, int key);
  bool isLinear(const ExprPtr &e, int row, int key);
  bool isOneSided(const ExprPtr &e, int row, int key);
  ExprPtr inside(const ExprPtr &read);
  bool isData(int tensor);

  Program &program_;
  Softmaxes &softmaxes_;
  FreeLetters free_;
  std::unordered_map<int, bool> data_;            ///< by tensor
  std::unordered_map<std::string, Makeup> found_; ///< of reads, by what their indices are
  std::unordered_map<std::string, bool> linear_;  ///< likewise
};

} // namespace qkv::equations
