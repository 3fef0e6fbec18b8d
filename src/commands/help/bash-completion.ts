import { allCommands, type CommandNode, type ParameterNode } from "./command-tree.ts";

/** The completion script of bash 3.2 and newer. It works with and without the package bash-completion. */
export function bashCompletion(tree: CommandNode): string {
  const commands = allCommands(tree);
  return `# Completion of entrepot for bash.

# Sets what can follow the words of a command: subcommands, options, and how many arguments it takes,
# without one that can be repeated.
__entrepot_command() {
  subcommands='' options='' arguments=0
  case $1 in
${commands.map(commandCase).join("")}  esac
}

# Sets what a value is: of an option, or of the argument with a number.
__entrepot_value() {
  takes='' source='' known=''
  case $1:$2 in
${valueCases(commands)}  esac
}

__entrepot() {
${READ_WORDS}
${WALK}
${OFFER}
}

complete -F __entrepot entrepot
`;
}

/**
 * Bash splits words at = and : too, so \`docker.io/library/nginx:1.29\` arrives in pieces. They are put
 * together again where no space is between them.
 */
const READ_WORDS = `  local line=\${COMP_LINE:0:COMP_POINT} word previous='' i
  local -a words
  words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    # Of the word at the cursor, what stands before the cursor.
    ((i == COMP_CWORD)) && word=\${line#"\${line%%[![:space:]]*}"}
    if [[ $i -gt 0 && $line != [[:space:]]* && ( $word == [:=]* || $previous == *[:=] ) ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
    line=\${line#*"$word"}
    previous=$word
  done
  local current=\${words[\${#words[@]} - 1]}`;

/** Finds the command, the option that still takes a value, and the number of the argument. */
const WALK = `  local command='' option='' argument=0 only_arguments='' subcommands options arguments takes source known
  __entrepot_command ''
  for ((i = 1; i < \${#words[@]} - 1; i++)); do
    word=\${words[i]}
    if [[ -n $option && ( $takes == one || $word != -* ) ]]; then
      [[ $takes == one ]] && option=''
    elif [[ -z $only_arguments && $word == -- ]]; then
      only_arguments=1 option=''
    elif [[ -z $only_arguments && $word == -* ]]; then
      option=''
      [[ $word == *=* ]] || __entrepot_value "$command" "$word"
      [[ $word != *=* && -n $takes ]] && option=$word
    elif [[ " $subcommands " == *" $word "* ]]; then
      command=\${command:+$command }$word
      __entrepot_command "$command"
    else
      ((argument++))
    fi
  done`;

/** Bash replaces only what follows the last = or : of the word at the cursor. */
const OFFER = `  local prefix='' value=$current list=''
  takes='' source='' known=''
  if [[ -z $only_arguments && -z $option && $current == --*=* ]]; then
    prefix=\${current%%=*}=
    value=\${current#*=}
    __entrepot_value "$command" "\${current%%=*}"
  elif [[ -n $option ]] && __entrepot_value "$command" "$option" && [[ $takes == one || $current != -* ]]; then
    :
  elif [[ -z $only_arguments && $current == -* ]]; then
    takes='' source=known known=$options
  elif [[ -n $subcommands ]]; then
    source=known known=$subcommands
  else
    ((argument < arguments)) || argument=last
    __entrepot_value "$command" "$argument"
    [[ -n $takes || -n $only_arguments ]] || { source=known known=$options; }
  fi
  COMPREPLY=()
  case $source in
    # Readline knows about quotes and ~ in names. Only bash 3 has to be told them.
    files) compopt -o default 2>/dev/null || list=$(compgen -f -- "$value") ;;
    folders) compopt -o dirnames 2>/dev/null || list=$(compgen -d -- "$value") ;;
    known) list=$known ;;
    images | pins | freezes | upstreams)
      list=$(type -P entrepot >/dev/null && entrepot __complete "$source" -- "$value" "\${words[@]:1}" 2>/dev/null </dev/null)
      ;;
  esac
  [[ $source == known ]] && list=\${list// /$'\\n'}
  local kept=''
  case $current in
    *[:=]*)
      kept=\${current%"\${current##*[:=]}"}
      # Somebody may have taken these characters out of COMP_WORDBREAKS.
      [[ $COMP_WORDBREAKS == *"\${kept:\${#kept}-1}"* ]] || kept=''
      ;;
  esac
  while IFS= read -r word; do
    word=$prefix$word
    [[ -n $word && $word != "$prefix" && $word == "$current"* ]] && COMPREPLY+=("\${word#"$kept"}")
  done <<<"$list"`;

function commandCase({ path, commands, options, arguments: all }: CommandNode): string {
  const subcommands = commands.map((child) => child.path.at(-1) ?? "").join(" ");
  const flags = options.flatMap((option) => option.flags).join(" ");
  const count = all.filter(({ isVariadic }) => !isVariadic).length;
  const found = `subcommands=${quoted(subcommands)} options=${quoted(flags)} arguments=${count}`;
  return `    ${quoted(path.join(" "))}) ${found} ;;\n`;
}

/** Parameters with the same values share a case: most options are those of several commands. */
function valueCases(commands: readonly CommandNode[]): string {
  const keys = new Map<string, string[]>();
  const add = (key: string, parameter: ParameterNode): void => {
    const text = assignments(parameter);
    keys.set(text, [...(keys.get(text) ?? []), quoted(key)]);
  };
  for (const { path, options, arguments: all } of commands) {
    for (const { flags, value } of options) {
      for (const flag of value ? flags : []) if (value) add(`${path.join(" ")}:${flag}`, value);
    }
    all.forEach((argument, index) => {
      // The last argument of a command stands for all that follow it.
      add(`${path.join(" ")}:${argument.isVariadic ? "last" : index}`, argument);
    });
  }
  return [...keys].map(([text, cases]) => `    ${cases.join(" | ")}) ${text} ;;\n`).join("");
}

function assignments({ source, known, isVariadic }: ParameterNode): string {
  const words = known.map(({ value }) => value).join(" ");
  return `takes=${isVariadic ? "many" : "one"} source=${source}${words === "" ? "" : ` known=${quoted(words)}`}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
