// From the parallel equations to the step that computes the next positions.
//
// In: a checked program with a stream size T. Out: the equations of a step, which takes the stream
// from n to n + m positions; those of what is computed once per session; what is kept between.
// The step reads what is kept as inputs and gives what to keep as results. What must hold: each
// element is computed by the equation that the parallel form has for it, in the same order of
// operations, whatever the chunks.
#pragma once

#include "compiler/streams/Arrivals.h"

#include <string>
#include <variant>

namespace qkv::streams {

/// What one sequence remembers of a tensor.
struct State {
  enum Kind {
    First,   ///< its first positions
    Last,    ///< its latest positions, few of them
    Sum,     ///< the same of a running sum or extremum: its value
    Row,     ///< its latest positions, each of which goes over all positions of the stream
    Window,  ///< its latest positions, from a multiple of 64 on
    History, ///< all of its positions
    Session, ///< all of it: it does not depend on the stream
  };
  Kind kind = Last;
  std::string name;
  int tensor = -1;                           ///< of the model
  std::vector<std::optional<int64_t>> slice; ///< along its axes: the one position that is kept
  int64_t positions = 0;                     ///< First, Last, Window: how many
  int64_t outside = 0;                       ///< and so many before the first (P4)
  int across = -1;                           ///< Row: the other axis over the stream
  int input = -1;                            ///< of the step
  /// The step's tensor with what is kept then, or -1: it stays as it is; so it does where a step
  /// gives no row of it. Where it grows in place, what is kept then is its last rows, as many as
  /// the next step takes.
  int next = -1;
  int begin = -1; ///< the session's tensor with what is kept before the first step
  Reading cause;  ///< the read that goes back furthest
};
const char *stateKindName(State::Kind kind);

/// Whether rows are added behind those that are kept: they are the first axis, and the step's
/// result begins with what it was given, so that both can be one buffer. In such a tensor rows
/// that lie too far back are left out in front, between steps.
bool growsInPlace(State::Kind kind);

/// A result of the model.
struct StreamResult {
  std::string name;
  int tensor = -1; ///< of the step, or of the session
  int axis = -1;   ///< along which a step gives the new positions; -1: its value for the T at hand
  bool session = false;
};

struct Stream {
  Program model; ///< rearranged so that less is kept; the states' tensors are its
  Program step, session;
  Program last; ///< the step that also gives the results for the T at hand, where there are such
  bool closes = false; ///< whether there are
  int past = -1;       ///< the size n of the step: positions that came before
  int fresh = -1;      ///< the size m: positions that come now
  int count = -1;      ///< an input of n bools, where no other binds n; or -1
  std::vector<State> states;
  std::vector<StreamResult> results;
  std::vector<int> rowOf; ///< by tensor of the model: the axis along which it gets rows, or -1
  std::vector<Obstacle> obstacles; ///< of results that do not grow row by row
};

/// The step, or a sentence why there is none. Precondition: program.stream >= 0.
std::variant<Stream, Obstacle> deriveStream(const Program &program);

/// Floats that grow from step to step (windows, histories) are kept in 16 bits: rounded when they
/// are written, also for rows of the same step that read them. Other states stay as they are.
void keepInHalf(Stream &stream, Half half);

/// Whether the model is a generator whose logits grow row by row along their first axis.
bool generates(const Stream &stream);

/// A generator's step that gives, of its results, the logits of the last position alone: its last
/// result, without the axis of the rows. Precondition: the logits grow row by row along axis 0.
Program lastRowOf(const Stream &stream);

} // namespace qkv::streams
