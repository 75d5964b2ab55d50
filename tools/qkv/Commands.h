// The subcommands. Each adds itself to the command line; when it was chosen, its callback runs
// and leaves the exit code: 0 done, 1 failed, 2 misuse.
#pragma once

namespace CLI {
class App;
}

namespace qkv::driver {

void addCheck(CLI::App &app, int &code);
void addFmt(CLI::App &app, int &code);
void addInterpret(CLI::App &app, int &code);
void addRun(CLI::App &app, int &code);
void addBuild(CLI::App &app, int &code);
void addVerify(CLI::App &app, int &code);
void addIr(CLI::App &app, int &code);
void addExplain(CLI::App &app, int &code);
void addBench(CLI::App &app, int &code);
void addState(CLI::App &app, int &code);
void addWeights(CLI::App &app, int &code);
void addChat(CLI::App &app, int &code);
void addTokenize(CLI::App &app, int &code);
void addEmbed(CLI::App &app, int &code);

} // namespace qkv::driver
