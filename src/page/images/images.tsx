import type { JSX } from "preact";
import type { Image } from "../../api/images.ts";
import { ago, bytes, shortDigest } from "../parts/format.ts";
import { Hidden } from "../parts/hidden.tsx";
import { Empty, Panel, Scrolling, State } from "../parts/panel.tsx";
import { type Column, figures, TableHead } from "../parts/table-head.tsx";
import { imageHref, type ImagesQuestion, nameOf, type View } from "../view.ts";

/** All images, found by text and put in order by the server. */
export function Images({
  view: { question, images },
  now,
}: {
  readonly view: Extract<View, { page: "images" }>;
  readonly now: number;
}): JSX.Element {
  const { items, next, storing, hidden } = images;
  return (
    <Panel id="images" title="Images" aside={storing === 0 ? undefined : `${storing} being stored`}>
      <Search question={question} />
      {items.length === 0 ? (
        <NoImages question={question} />
      ) : (
        <Scrolling label="Images" isWide>
          <table>
            <TableHead
              columns={[
                sorted(question, "name", { title: "Image" }),
                "Platforms",
                sorted(question, "size", { title: "Size", kind: "number" }),
                figures("Shared"),
                sorted(question, "used", { title: "Last used", kind: "number" }),
                "Pin",
              ]}
            />
            <tbody>
              {items.map((image) => (
                <Row key={nameOf(image)} image={image} now={now} />
              ))}
            </tbody>
          </table>
        </Scrolling>
      )}
      <Hidden count={hidden} what="image" />
      <nav class="paging" aria-label="More images">
        {question.cursor === undefined ? null : (
          <a href={href({ ...question, cursor: undefined })}>First page</a>
        )}
        {next === undefined ? null : <a href={href({ ...question, cursor: next })}>Next page</a>}
      </nav>
    </Panel>
  );
}

function NoImages({ question }: { readonly question: ImagesQuestion }): JSX.Element {
  if (question.search !== "")
    return (
      <Empty>
        No name, tag or digest here contains “{question.search}”.{" "}
        <a href={href({ ...question, search: "", cursor: undefined })}>Show all images</a>
      </Empty>
    );
  return (
    <Empty>
      No image is stored yet: nobody has pulled through this cache. Wire a node by{" "}
      <code>entrepot node apply</code>, or download an image now:{" "}
      <code>entrepot warm docker.io/library/alpine</code>.
    </Empty>
  );
}

function Search({
  question: { search, sort },
}: {
  readonly question: ImagesQuestion;
}): JSX.Element {
  return (
    <form class="search" role="search" action="/images">
      <label>
        <span class="unseen">Name, tag or digest</span>
        <input
          type="search"
          name="search"
          value={search}
          placeholder="Name, tag or digest"
          maxLength={300}
        />
      </label>
      <input type="hidden" name="sort" value={sort} />
      <button type="submit">Search</button>
    </form>
  );
}

const ORDERS = { name: "ascending", size: "descending", used: "descending" } as const;

/** A column by which the server sorts. */
function sorted(
  question: ImagesQuestion,
  sort: ImagesQuestion["sort"],
  { title, kind }: { readonly title: string; readonly kind?: "number" },
): Column {
  if (question.sort === sort) return { title, kind, order: ORDERS[sort] };
  return { title: <a href={href({ ...question, sort, cursor: undefined })}>{title}</a>, kind };
}

function Row({ image, now }: { readonly image: Image; readonly now: number }): JSX.Element {
  const { platforms, partial, size, shared, lastUsed, pin } = image;
  return (
    <tr>
      <th scope="row" class="breaks">
        <a href={imageHref(nameOf(image))}>
          {image.tag === undefined ? image.image : `${image.image}:${image.tag}`}
        </a>
        {image.tag === undefined ? <span class="note">{shortDigest(image.digest)}</span> : null}
      </th>
      <td class="breaks">
        {platforms.join(", ")}
        {partial.length === 0 ? null : <span class="note warn">in part: {partial.join(", ")}</span>}
      </td>
      <td class="number">{bytes(size)}</td>
      <td class="number">{shared === 0 ? "–" : bytes(shared)}</td>
      <td class="number">{lastUsed === 0 ? "–" : ago(lastUsed, now)}</td>
      <td title={pin}>{pin === undefined ? "" : <State tone="good">pinned</State>}</td>
    </tr>
  );
}

function href({ search, sort, cursor }: ImagesQuestion): string {
  const query = new URLSearchParams({ search, sort, ...(cursor === undefined ? {} : { cursor }) });
  return `/images?${query.toString()}`;
}
