// Completion for shells, made from the descriptions of the commands themselves: what is in the help is completed.
import type { Command } from "commander";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Described {
  /** The words that lead to it. */
  readonly words: readonly string[];
  readonly summary: string;
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly description: string;
    readonly takesValue: boolean;
  }[];
}

/** A script for a shell to read. */
export function formatCompletion(program: Command, shell: Shell): string {
  const commands = commandsOf(program, []);
  if (shell === "bash") return formatBash(commands);
  return shell === "zsh" ? formatZsh(commands) : formatFish(commands);
}

function commandsOf(parent: Command, before: readonly string[]): Described[] {
  return parent.commands.flatMap(command => {
    const words = [...before, command.name()];
    const options = command.options.map(({ short, long, description, required, optional }) => ({
      flags: [short, long].filter(flag => flag !== undefined),
      description,
      takesValue: required || optional,
    }));
    return [
      { words, summary: command.summary() || command.description(), options },
      ...commandsOf(command, words),
    ];
  });
}

/** The words that may follow others. */
function following(commands: readonly Described[], words: readonly string[]): string[] {
  return commands
    .filter(({ words: own }) => own.length === words.length + 1 && words.every((word, i) => own[i] === word))
    .map(({ words: own }) => own.at(-1)!);
}

function formatBash(commands: readonly Described[]): string {
  const cases = commands.map(({ words, options }) => {
    const all = [...following(commands, words), ...options.flatMap(({ flags }) => flags), "--help"];
    return `    ${quote(words.join(" "))}) words=${quote(all.join(" "))} ;;`;
  });
  const leading = commands.map(({ words }) => quote(words.join(" "))).join("|");
  return `# bash completion for counterfoil: eval "$(counterfoil completion bash)"
_counterfoil() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${path:+$path }\${COMP_WORDS[i]}" in
      ${leading}) path="\${path:+$path }\${COMP_WORDS[i]}" ;;
      *) break ;;
    esac
  done
  case "$path" in
    "") words=${quote([...following(commands, []), "--help", "--version"].join(" "))} ;;
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ "$current" != -* && -n "$path" ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _counterfoil counterfoil
`;
}

function formatZsh(commands: readonly Described[]): string {
  const describe = (words: readonly string[]) =>
    commands
      .filter(
        ({ words: own }) => own.length === words.length + 1 && words.every((word, i) => own[i] === word),
      )
      .map(({ words: own, summary }) => quote(`${own.at(-1)!}:${summary}`))
      .join(" ");
  const cases = commands.map(({ words, options }) => {
    const flags = options.flatMap(({ flags, description }) =>
      flags.map(flag => quote(`${flag}:${description}`)),
    );
    return `    ${quote(words.join(" "))}) choices=(${[describe(words), ...flags].filter(Boolean).join(" ")}) ;;`;
  });
  const leading = commands.map(({ words }) => quote(words.join(" "))).join("|");
  return `#compdef counterfoil
# zsh completion for counterfoil: counterfoil completion zsh > a folder of $fpath, as _counterfoil
_counterfoil() {
  local walked="" i
  local -a choices
  for ((i = 2; i < CURRENT; i++)); do
    case "\${walked:+$walked }\${words[i]}" in
      ${leading}) walked="\${walked:+$walked }\${words[i]}" ;;
      *) break ;;
    esac
  done
  case "$walked" in
    "") choices=(${describe([])}) ;;
${cases.join("\n")}
  esac
  _describe command choices
  [[ -n "$walked" ]] && _files
}
compdef _counterfoil counterfoil
`;
}

function formatFish(commands: readonly Described[]): string {
  const lines = commands.flatMap(({ words, summary, options }) => {
    const parent = words.slice(0, -1);
    const within = (seen: readonly string[]) =>
      seen.map(word => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const others = following(commands, parent).join(" ");
    const here =
      parent.length === 0
        ? "__fish_use_subcommand"
        : `${within(parent)}; and not __fish_seen_subcommand_from ${others}`;
    return [
      `complete -c counterfoil -n ${fish(here)} -a ${fish(words.at(-1)!)} -d ${fish(summary)}`,
      ...options.map(({ flags, description, takesValue }) => {
        const names = flags.map(flag =>
          flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
        );
        return `complete -c counterfoil -n ${fish(within(words))} ${names.join(" ")}${takesValue ? " -r" : ""} -d ${fish(description)}`;
      }),
    ];
  });
  return `# fish completion for counterfoil: counterfoil completion fish > ~/.config/fish/completions/counterfoil.fish\n${lines.join("\n")}\n`;
}

/** A word as bash and zsh take it, without any meaning of its own. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fish(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
