-- PostgreSQL as a peer: a row a SKU, with the units of all nodes, since that is one lock and one new version of a row
-- for what would be up to 32. Nodes count from 1 here. An order, its lines and its parts are one row, for the same reason.

CREATE TABLE stock (sku int PRIMARY KEY, available int[] NOT NULL CHECK (0 <= ALL (available))) WITH (fillfactor = 40);
CREATE TABLE ranks (postal_code int PRIMARY KEY, nodes int[] NOT NULL);
CREATE TABLE orders (
    order_id text PRIMARY KEY, postal_code int NOT NULL, skus int[] NOT NULL, quantities int[] NOT NULL,
    part_skus int[] NOT NULL, part_nodes int[] NOT NULL, part_units int[] NOT NULL
);

-- The nodes that give to an order, in rank order. have: a row a SKU.
CREATE FUNCTION nearest(ranked int[], have int[], wanted int[]) RETURNS int[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    skus int := cardinality(wanted);
    missing int[] := wanted;
    chosen int[] := '{}';
    node int; other int; best int; most int; units int; gives_all bool;
BEGIN
    FOREACH node IN ARRAY ranked LOOP
        gives_all := true;
        FOR i IN 1..skus LOOP
            IF have[i][node] < wanted[i] THEN gives_all := false; EXIT; END IF;
        END LOOP;
        IF gives_all THEN RETURN ARRAY[node]; END IF;
    END LOOP;
    ranked := ARRAY(SELECT r FROM unnest(ranked) WITH ORDINALITY AS n(r, k)
                    WHERE EXISTS (SELECT FROM generate_series(1, skus) AS i WHERE have[i][r] > 0) ORDER BY k);
    FOR j IN 1..cardinality(ranked) LOOP
        FOR k IN j + 1..cardinality(ranked) LOOP
            node := ranked[j]; other := ranked[k]; gives_all := true;
            FOR i IN 1..skus LOOP
                IF have[i][node] + have[i][other] < wanted[i] THEN gives_all := false; EXIT; END IF;
            END LOOP;
            IF gives_all THEN RETURN ARRAY[node, other]; END IF;
        END LOOP;
    END LOOP;
    LOOP
        most := 0;
        FOREACH node IN ARRAY ranked LOOP
            CONTINUE WHEN node = ANY (chosen);
            units := 0;
            FOR i IN 1..skus LOOP units := units + least(missing[i], have[i][node]); END LOOP;
            IF units > most THEN most := units; best := node; END IF;
        END LOOP;
        EXIT WHEN most = 0;
        chosen := chosen || best;
        FOR i IN 1..skus LOOP missing[i] := missing[i] - least(missing[i], have[i][best]); END LOOP;
    END LOOP;
    RETURN ARRAY(SELECT r FROM unnest(ranked) WITH ORDINALITY AS n(r, k) WHERE r = ANY (chosen) ORDER BY k);
END $$;

-- One order; skus: each once, in their order, so that nobody waits for somebody who waits for him. Returns the units
-- given, also when it is asked again.
CREATE FUNCTION place(id text, code int, skus int[], wanted int[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    known int[]; have int[]; chosen int[]; given_skus int[] := '{}'; given_nodes int[] := '{}'; given_units int[] := '{}';
    node int; taken int; remaining int; total bigint := 0;
BEGIN
    SELECT part_units INTO known FROM orders WHERE order_id = id;
    IF FOUND THEN RETURN coalesce((SELECT sum(u) FROM unnest(known) AS u), 0); END IF;
    SELECT array_agg(available) INTO have
        FROM (SELECT available FROM stock WHERE sku = ANY (skus) ORDER BY sku FOR UPDATE) AS locked;
    chosen := nearest((SELECT nodes FROM ranks WHERE postal_code = code), have, wanted);
    FOR i IN 1..cardinality(skus) LOOP
        remaining := wanted[i];
        FOREACH node IN ARRAY chosen LOOP
            taken := least(remaining, have[i][node]);
            CONTINUE WHEN taken = 0;
            UPDATE stock SET available[node] = available[node] - taken WHERE sku = skus[i];
            remaining := remaining - taken; total := total + taken;
            given_skus := given_skus || skus[i]; given_nodes := given_nodes || node; given_units := given_units || taken;
        END LOOP;
    END LOOP;
    -- Another one with this id, at the same moment: this one fails and takes nothing.
    INSERT INTO orders VALUES (id, code, skus, wanted, given_skus, given_nodes, given_units);
    RETURN total;
END $$;

-- A batch, order by order, in one transaction. line_orders: of each line its order, from 1.
CREATE FUNCTION place_each(ids text[], codes int[], line_orders int[], skus int[], wanted int[]) RETURNS bigint
LANGUAGE plpgsql SET enable_nestloop = off AS $$  -- a plan for any arrays would have one, for short ones
DECLARE
    one record;
    total bigint := 0;
BEGIN
    LOCK TABLE stock IN SHARE ROW EXCLUSIVE MODE;
    FOR one IN
        SELECT a.id, a.code, t.skus, t.units FROM (
            SELECT l.o, array_agg(l.sku ORDER BY l.sku) AS skus, array_agg(l.units ORDER BY l.sku) AS units
            FROM unnest(line_orders, skus, wanted) AS l(o, sku, units) GROUP BY l.o
        ) AS t JOIN unnest(ids, codes) WITH ORDINALITY AS a(id, code, o) USING (o) ORDER BY o
    LOOP
        total := total + place(one.id, one.code, one.skus, one.units);
    END LOOP;
    RETURN total;
END $$;

-- A batch by statements over all of it. Stock only falls, so the nearest node is right for every order whose units, and
-- those of all orders before it, it can give. The others, and who comes after one of them and shares a SKU with it, are
-- placed one by one, which comes to the same parts as one after another. A batch that names an id twice is refused.
CREATE FUNCTION place_together(ids text[], codes int[], line_orders int[], skus int[], wanted int[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE one record;
BEGIN
    LOCK TABLE stock IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO asked
        SELECT a.o, a.id, a.code, r.nodes[1]
        FROM unnest(ids, codes) WITH ORDINALITY AS a(id, code, o) JOIN ranks AS r ON r.postal_code = a.code
        WHERE NOT EXISTS (SELECT FROM orders WHERE order_id = a.id);
    ANALYZE asked;  -- plans know the length of tables, not of arrays
    INSERT INTO line
        SELECT l.o, l.sku, l.units, a.node, false
        FROM unnest(line_orders, skus, wanted) AS l(o, sku, units) JOIN asked AS a USING (o);
    ANALYZE line;
    UPDATE line SET late = true WHERE o IN (
        SELECT t.o FROM (
            SELECT l.o, s.available[l.node] AS has, sum(l.units) OVER (PARTITION BY l.sku, l.node ORDER BY l.o) AS upto
            FROM line AS l JOIN stock AS s USING (sku)
        ) AS t WHERE t.upto > t.has
    );
    WHILE FOUND LOOP
        UPDATE line SET late = true WHERE NOT late AND o IN (
            SELECT l.o FROM line AS l
            JOIN (SELECT sku, min(o) AS since FROM line WHERE late GROUP BY sku) AS t USING (sku) WHERE l.o > t.since
        );
    END LOOP;
    INSERT INTO cell
        SELECT sku, node, sum(units), row_number() OVER (PARTITION BY sku) FROM line WHERE NOT late GROUP BY sku, node;
    ANALYZE cell;
    FOR turn IN 1..(SELECT coalesce(max(nth), 0) FROM cell) LOOP  -- a row of stock changes once a statement
        UPDATE stock AS s SET available[c.node] = s.available[c.node] - c.units
            FROM cell AS c WHERE c.sku = s.sku AND c.nth = turn;
    END LOOP;
    INSERT INTO orders
        SELECT a.id, a.code, t.skus, t.units, t.skus, t.nodes, t.units FROM (
            SELECT l.o, array_agg(l.sku) AS skus, array_agg(l.units) AS units, array_agg(l.node) AS nodes
            FROM line AS l WHERE NOT l.late GROUP BY l.o
        ) AS t JOIN asked AS a USING (o);
    FOR one IN
        SELECT a.id, a.code, t.skus, t.units FROM (
            SELECT o, array_agg(sku ORDER BY sku) AS skus, array_agg(units ORDER BY sku) AS units
            FROM line WHERE late GROUP BY o
        ) AS t JOIN asked AS a USING (o) ORDER BY o
    LOOP
        PERFORM place(one.id, one.code, one.skus, one.units);
    END LOOP;
END $$;
